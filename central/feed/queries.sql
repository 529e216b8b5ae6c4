-- write --
-- Changes of any scopes and topics, as they come out of a transaction; who reads them is later.
insert into feed_log (scope, topic, key, operation, payload)
select * from unnest(%(scopes)s::text[], %(topics)s::text[], %(keys)s::text[],
                     %(operations)s::text[], %(payloads)s::bytea[]);

-- publish_turn --
-- One publisher at a time, in all processes. Before the statement that publishes: that one must see
-- what the publisher before it has done.
select pg_try_advisory_xact_lock(4924371001) as mine;

-- no_jit --
-- Compiling the statement takes longer than running it.
set local jit = off;

-- publish --
-- Take whole transactions out of the log, none that a running one may still precede; keep the last
-- word on each key, give it the next position where it is news, and bring the sums up to date.
-- An older write of a key may come after a newer one: so the newest is remembered, news or not.
-- The order names the table: a bare xid in a result would be text, and "1000" sorts before "999".
with bound as (
    select feed_log.xid from feed_log
    where feed_log.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by feed_log.xid, feed_log.change_id offset %(rows_max)s - 1 limit 1
), taken as (
    delete from feed_log
    where feed_log.xid < pg_snapshot_xmin(pg_current_snapshot())
      and feed_log.xid <= coalesce((select bound.xid from bound), '18446744073709551615'::xid8)
    returning scope, topic, key, change_id, operation, payload
), last as (
    select distinct on (scope, topic, key) scope, topic, key, change_id, operation, payload
    from taken order by scope, topic, key, change_id desc
), decided as (
    select last.*, old.operation as old_operation, old.high as old_high, old.low as old_low,
           old.change_id is null or last.operation <> old.operation
               or last.payload <> old.payload as news
    from last
    left join lateral (
        select * from feed_entry e
        where e.scope = last.scope and e.topic = last.topic and e.key = last.key
    ) old on true
    where old.change_id is null or last.change_id > old.change_id
), hashed as (
    select decided.*,
           sha256(convert_to(topic, 'UTF8') || '\x00' || convert_to(key, 'UTF8') || '\x00'
                  || int8send(change_id) || payload) as digest
    from decided where news
), numbered as (
    select scope, topic, key, change_id, operation, payload, old_operation, old_high, old_low,
           (select head from feed_state) + row_number() over (order by change_id) as position,
           case operation when 'put'
               then ('x' || encode(substr(digest, 1, 8), 'hex'))::bit(64)::bigint else 0 end as high,
           case operation when 'put'
               then ('x' || encode(substr(digest, 9, 8), 'hex'))::bit(64)::bigint else 0 end as low
    from hashed
), remembered as (
    update feed_entry e set change_id = d.change_id
    from decided d
    where not d.news and e.scope = d.scope and e.topic = d.topic and e.key = d.key
), entries as (
    insert into feed_entry
        (scope, topic, key, position, change_id, version, operation, payload, high, low)
    select scope, topic, key, position, change_id, change_id, operation, payload, high, low
    from numbered
    on conflict (scope, topic, key) do update
    set position = excluded.position, change_id = excluded.change_id, version = excluded.version,
        operation = excluded.operation, payload = excluded.payload,
        high = excluded.high, low = excluded.low, published_at = now()
), sums as (
    insert into feed_sum (scope, topic, total, entries)
    select scope, topic,
           mod((sum(high) - sum(coalesce(old_high, 0))) * 18446744073709551616
               + sum(low) - sum(coalesce(old_low, 0)), 340282366920938463463374607431768211456),
           count(*) filter (where operation = 'put')
           - count(*) filter (where old_operation = 'put')
    from numbered group by scope, topic
    on conflict (scope, topic) do update
    set total = mod(feed_sum.total + excluded.total, 340282366920938463463374607431768211456),
        entries = feed_sum.entries + excluded.entries
), heads as (
    insert into feed_scope (scope, head)
    select scope, max(position) from numbered group by scope
    on conflict (scope) do update set head = excluded.head
), moved as (
    update feed_state set head = head + (select count(*) from numbered)
)
select (select count(*) from taken) as taken, (select count(*) from numbered) as published;

-- log_waits --
-- Whether anything was written that is not published. By the index, which learns to pass over what
-- was taken out; reading the table would look at all of it until the next vacuum.
select count(*) > 0 as waits
from (select 1 from feed_log order by feed_log.xid, feed_log.change_id limit 1) waiting;

-- horizon_holders --
-- Transactions that have kept the log from being published for so long, the oldest first.
select pid, coalesce(application_name, '') as application, coalesce(state, '') as state,
       extract(epoch from clock_timestamp() - xact_start)::bigint as age_s
from pg_stat_activity
where backend_xid is not null and pid <> pg_backend_pid()
  and xact_start < clock_timestamp() - make_interval(secs => %(older_s)s)
order by xact_start limit 5;

-- heads_after --
-- The scopes in which something was published after a position.
select scope, head from feed_scope where head > %(after)s;

-- snapshot_isolation --
-- What follows in this transaction sees one state of the feed.
set transaction isolation level repeatable read, read only;

-- standing --
-- Where the feed is for the readers of a store.
select f.generation, f.head, f.secret,
       coalesce((select max(horizon) from feed_scope where scope in ('*', %(store_id)s)), 0) as horizon,
       coalesce((select sum(entries) from feed_sum
                 where scope in ('*', %(store_id)s)), 0)::bigint as entries
from feed_state f;

-- page --
-- What stands after a position in a store's two scopes. Each is read in its own order and no
-- further than the page can hold.
select position, version, topic, key, operation, payload
from (
    (select position, version, topic, key, operation, payload from feed_entry
     where scope = '*' and position > %(after)s order by position limit %(limit)s)
    union all
    (select position, version, topic, key, operation, payload from feed_entry
     where scope = %(store_id)s and position > %(after)s order by position limit %(limit)s)
) changed
order by position limit %(limit)s;

-- sums --
-- What each topic adds up to for a store.
select topic, sum(total) as total, sum(entries)::bigint as entries
from feed_sum where scope in ('*', %(store_id)s)
group by topic having sum(entries) > 0 order by topic;

-- bucket_sums --
-- A topic's sums by bucket of the key.
select get_byte(sha256(convert_to(key, 'UTF8')), 0) as bucket,
       sum(high) * 18446744073709551616 + sum(low) as total
from feed_entry
where scope in ('*', %(store_id)s) and topic = %(topic)s and operation = 'put'
group by 1;

-- bucket_sizes --
-- How much the buckets hold, to tell no more of them than fit into an answer.
select get_byte(sha256(convert_to(key, 'UTF8')), 0) as bucket,
       sum(length(payload) + octet_length(key) + 32)::bigint as size_bytes
from feed_entry
where scope in ('*', %(store_id)s) and topic = %(topic)s and operation = 'put'
  and get_byte(sha256(convert_to(key, 'UTF8')), 0) = any(%(buckets)s)
group by 1;

-- bucket_entries --
-- All entries of some buckets of a topic.
select position, version, topic, key, operation, payload
from feed_entry
where scope in ('*', %(store_id)s) and topic = %(topic)s and operation = 'put'
  and get_byte(sha256(convert_to(key, 'UTF8')), 0) = any(%(buckets)s)
order by key;

-- note_reader --
-- How far an agent has come: what it asks after, which it will not ask for again.
insert into feed_reader (edge_id, store_id, generation, position)
values (%(edge_id)s, %(store_id)s, %(generation)s, %(position)s)
on conflict (edge_id) do update
set store_id = excluded.store_id, generation = excluded.generation,
    position = excluded.position, seen_at = now();

-- confirm_reader --
-- What an agent has in force, so also what it has erased.
update feed_reader set applied_position = %(position)s, seen_at = now()
where edge_id = %(edge_id)s and generation = %(generation)s
  and applied_position <> %(position)s;

-- erasures_unconfirmed --
-- Erasures that some agent of the scope has not reported as done.
select e.scope, e.topic, e.key, e.published_at, array_agg(r.edge_id order by r.edge_id) as edge_ids
from feed_entry e
join feed_reader r on e.scope in ('*', r.store_id)
    and (r.applied_position < e.position or r.generation <> (select generation from feed_state))
where e.operation = 'erase'
group by e.scope, e.topic, e.key, e.published_at
order by e.published_at limit %(limit)s;

-- report --
-- What an operator wants to know at one look.
select f.generation, f.head,
       (select count(*) from feed_log) as log_rows,
       (select count(*) from feed_entry where operation <> 'put') as tombstones,
       (select count(*) from feed_reader) as readers,
       (select count(*) from feed_reader r where r.generation <> f.generation) as readers_to_restart,
       coalesce((select max(s.head - r.position) from feed_reader r join feed_scope s
                 on s.scope = r.store_id where r.generation = f.generation), 0) as behind_max
from feed_state f;

-- tombstones --
-- Everything deleted that is still told, with its place.
select scope, position, (extract(epoch from published_at) * 1000)::bigint as published_at_ms
from feed_entry where operation <> 'put' order by scope, position;

-- live_cursors --
-- Where each scope's live agents are; an agent of an older generation will begin anew anyway.
select s.scope, r.position
from feed_scope s join feed_reader r on s.scope in ('*', r.store_id)
join edge e on e.edge_id = r.edge_id and e.state = 'active'
where r.generation = (select generation from feed_state)
  and r.seen_at > now() - make_interval(days => %(days)s);

-- remove_tombstones --
-- Deleted keys that every live reader of the scope knows of, or that are too old to be told.
delete from feed_entry where scope = %(scope)s and operation <> 'put' and position <= %(until)s;

-- move_horizon --
-- A reader whose cursor is before this may have missed one of them.
update feed_scope set horizon = greatest(horizon, %(until)s) where scope = %(scope)s;

-- new_generation --
-- All cursors given out before lose their meaning. Rows that a restored cluster wrote under numbers
-- of another one are numbered anew, or they would wait for ever.
with renumbered as (
    update feed_log set xid = pg_current_xact_id()
    where xid >= pg_snapshot_xmax(pg_current_snapshot())
)
update feed_state
set generation = ('x' || substr(md5(gen_random_uuid()::text), 1, 15))::bit(60)::bigint
where generation = %(generation)s
returning generation;

-- snapshot_turn --
-- One maker of a scope's snapshot at a time.
select pg_advisory_xact_lock(492437, hashtext(%(scope)s));

-- snapshot --
-- The snapshot of a scope that was made last.
select generation, as_of, chunks,
       (extract(epoch from now() - built_at) * 1000)::bigint as age_ms
from feed_snapshot where scope = %(scope)s;

-- entries_sorted --
-- Everything that exists in a scope, in an order that does not depend on the database's language.
select topic, key, version, operation, payload from feed_entry
where scope = %(scope)s and operation = 'put'
order by topic collate "C", key collate "C";

-- put_chunk --
-- A piece; one that is as it was only gets younger.
insert into feed_chunk (scope, sha256, data) values (%(scope)s, %(sha256)s, %(data)s)
on conflict (scope, sha256) do update set built_at = now();

-- put_snapshot --
-- The pieces of a scope, all stored before.
insert into feed_snapshot (scope, generation, as_of, chunks)
values (%(scope)s, %(generation)s, %(as_of)s, %(chunks)s)
on conflict (scope) do update
set generation = excluded.generation, as_of = excluded.as_of, chunks = excluded.chunks,
    built_at = now();

-- forget_chunks --
-- Pieces of no present snapshot; a day is left to those who are fetching an earlier one.
delete from feed_chunk where scope = %(scope)s and built_at < now() - interval '1 day'
    and sha256 <> all(%(kept)s);

-- forget_old_snapshots --
-- Snapshots whose pieces go next.
delete from feed_snapshot where built_at < now() - make_interval(days => %(days)s);

-- forget_old_chunks --
-- Pieces of no snapshot that is kept.
delete from feed_chunk c where c.built_at < now() - make_interval(days => %(days)s)
    and not exists (select 1 from feed_snapshot s where s.scope = c.scope);

-- chunk --
-- A piece that a store may read.
select data from feed_chunk where sha256 = %(sha256)s and scope in ('*', %(store_id)s) limit 1;
