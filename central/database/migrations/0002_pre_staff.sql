-- staff and their sessions

create table staff_member (
    staff_id bigint generated always as identity primary key,
    login text not null unique check (login = lower(login)),
    password_hash text not null,
    role text not null check (role in ('admin', 'marketer', 'support', 'analyst')),
    created_at timestamptz not null default now(),
    blocked boolean not null default false
);

create table staff_session (
    token_sha256 bytea primary key,
    staff_id bigint not null references staff_member,
    csrf_token text not null,
    created_at timestamptz not null default now(),
    last_seen_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index staff_session_expiry_idx on staff_session (expires_at);
