-- who sells for a store without an agent, such as a web shop; its token is kept as a hash
create table channel (
    channel_id text primary key,
    store_id text not null references store,
    token_sha256 bytea not null unique,
    issued_at timestamptz not null default now(),
    revoked_at timestamptz
);
