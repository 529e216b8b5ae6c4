-- The feed by a log and a publisher; what the feed held before is published again.

create table feed_log (
    xid xid8 not null default pg_current_xact_id(),
    change_id bigint not null default nextval('feed_change_id_seq'),
    scope text not null,
    topic text not null,
    key text not null,
    operation text not null check (operation in ('put', 'delete', 'erase')),
    payload bytea not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create index feed_log_order_idx on feed_log (xid, change_id);

create table feed_entry (
    scope text not null,
    topic text not null,
    key text not null,
    position bigint not null,
    change_id bigint not null,
    version bigint not null,
    operation text not null check (operation in ('put', 'delete', 'erase')),
    payload bytea not null,
    high bigint not null,
    low bigint not null,
    published_at timestamptz not null default now(),
    primary key (scope, topic, key)
);
create unique index feed_entry_position_idx on feed_entry (scope, position);
create index feed_entry_tombstone_idx on feed_entry (scope, position) where operation <> 'put';

-- what the entries of a topic add up to, modulo 2^128 (of either sign)
create table feed_sum (
    scope text not null,
    topic text not null,
    total numeric not null,
    entries bigint not null,
    primary key (scope, topic)
);

create table feed_scope (
    scope text primary key,
    head bigint not null,
    horizon bigint not null default 0
);
create index feed_scope_head_idx on feed_scope (head);

-- one row: the generation of cursors, the last position given out, what cursors are signed with
create table feed_state (
    only_one boolean primary key default true check (only_one),
    generation bigint not null,
    head bigint not null default 0,
    secret bytea not null
);
insert into feed_state (generation, secret) values (
    ('x' || substr(md5(gen_random_uuid()::text), 1, 15))::bit(60)::bigint,
    sha256(decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'))
);

create table feed_reader (
    edge_id bigint primary key references edge,
    store_id text not null,
    generation bigint not null,
    position bigint not null,
    applied_position bigint not null default 0,
    seen_at timestamptz not null default now()
);

create table feed_snapshot (
    scope text primary key,
    generation bigint not null,
    as_of bigint not null,
    chunks bytea not null,
    built_at timestamptz not null default now()
);

create table feed_chunk (
    scope text not null,
    sha256 bytea not null,
    data bytea not null,
    built_at timestamptz not null default now(),
    primary key (scope, sha256)
);

insert into feed_log (change_id, scope, topic, key, operation, payload)
select change_id, scope, topic, key, operation, payload from feed_change;
drop table feed_change;
