-- a member's phone, for messages; found by the hash, which is slow, and known to shops by the tag,
-- which is keyed (shared.crypto.phones)
create table customer_phone (
    customer_id text primary key references customer,
    phone text not null,
    phone_hash bytea not null check (length(phone_hash) = 32),
    phone_tag bytea not null check (length(phone_tag) = 16),
    consents jsonb not null default '[]',
    edge_id bigint references edge,
    registered_at timestamptz not null default now()
);
create index customer_phone_hash_idx on customer_phone (phone_hash);

-- members whom shops made, by the uid of the record; owner: who it became, null: refused, and why;
-- body: as it came, with the phone sealed, until it is settled
create table registration (
    record_uid bytea primary key check (length(record_uid) = 16),
    edge_id bigint not null references edge,
    body bytea not null,
    owner text,
    is_new boolean not null default false,
    card_taken boolean not null default false,
    failure text,
    received_at timestamptz not null default now(),
    settled_at timestamptz
);
create index registration_waiting_idx on registration (received_at) where settled_at is null;
