-- head --
-- A stream's head, locked: batches of one stream go one after another. And the newest epoch.
select h.nonce, h.seq, h.hash, h.state,
       (select max(n.epoch) from stream_head n where n.edge_id = h.edge_id and n.lane = h.lane)
           as newest_epoch
from stream_head h
where h.edge_id = %(edge_id)s and h.lane = %(lane)s and h.epoch = %(epoch)s for update of h;

-- heads --
-- Many streams' heads, locked in one order.
select h.edge_id, h.lane, h.epoch, h.seq, h.hash, h.state,
       (select max(n.epoch) from stream_head n where n.edge_id = h.edge_id and n.lane = h.lane)
           as newest_epoch
from unnest(%(edges)s::bigint[], %(lanes)s::smallint[], %(epochs)s::integer[])
    as s(edge_id, lane, epoch)
join stream_head h using (edge_id, lane, epoch)
order by h.edge_id, h.lane, h.epoch for update of h;

-- newest_epoch --
-- The newest epoch central issued for a lane.
select max(epoch) as epoch from stream_head where edge_id = %(edge_id)s and lane = %(lane)s;

-- run_at --
-- The run of records that holds one; it gives the chain at that record.
select first_seq, hashes from stream_run
where edge_id = %(edge_id)s and lane = %(lane)s and epoch = %(epoch)s and last_seq >= %(seq)s
order by last_seq limit 1;

-- advance --
-- A run of records was taken: it, and the new head.
with taken as (
    insert into stream_run (edge_id, lane, epoch, first_seq, last_seq, hashes, uids)
    values (%(edge_id)s, %(lane)s, %(epoch)s, %(first_seq)s, %(last_seq)s, %(hashes)s, %(uids)s)
)
update stream_head set seq = %(last_seq)s, hash = %(hash)s, updated_at = now()
where edge_id = %(edge_id)s and lane = %(lane)s and epoch = %(epoch)s;

-- advance_all --
-- A run of records was taken of each of these streams: it, and the new head.
with run as (
    select * from unnest(%(edge_id)s::bigint[], %(lane)s::smallint[], %(epoch)s::integer[],
        %(first_seq)s::bigint[], %(last_seq)s::bigint[], %(hash)s::bytea[], %(hashes)s::bytea[],
        %(uids)s::bytea[])
        as new(edge_id, lane, epoch, first_seq, last_seq, hash, hashes, uids)
), taken as (
    insert into stream_run (edge_id, lane, epoch, first_seq, last_seq, hashes, uids)
    select edge_id, lane, epoch, first_seq, last_seq, hashes, uids from run
)
update stream_head h set seq = run.last_seq, hash = run.hash, updated_at = now()
from run where h.edge_id = run.edge_id and h.lane = run.lane and h.epoch = run.epoch;

-- freeze --
-- Two copies wrote: nothing more is taken until it is cleared up.
update stream_head set state = 'frozen', updated_at = now()
where edge_id = %(edge_id)s and lane = any(%(lanes)s) and epoch = %(epoch)s and state = 'open';

-- quarantine --
-- Evidence is kept, never thrown away; the same bytes for the same reason once.
insert into quarantine (edge_id, lane, epoch, first_seq, last_seq, reason, detail, data)
values (%(edge_id)s, %(lane)s, %(epoch)s, %(first_seq)s, %(last_seq)s, %(reason)s, %(detail)s, %(data)s)
on conflict do nothing;

-- adopted_head --
-- How far one edge has sent what was written under another epoch or by the edge it was, locked.
select seq, hash from adopted_head
where edge_id = %(by_edge_id)s and from_edge_id = %(from_edge_id)s
  and lane = %(lane)s and epoch = %(epoch)s for update;

-- adoptable --
-- The stream to be adopted, if both edges are of one store.
select h.nonce, h.seq, h.hash,
       (select max(n.epoch) from stream_head n
        where n.edge_id = origin.edge_id and n.lane = %(lane)s) as newest_epoch
from edge origin
join edge sender on sender.edge_id = %(by_edge_id)s and sender.store_id = origin.store_id
left join stream_head h
    on h.edge_id = origin.edge_id and h.lane = %(lane)s and h.epoch = %(epoch)s
where origin.edge_id = %(from_edge_id)s;

-- begin_adoption --
-- From where on it is sent.
insert into adopted_head (edge_id, from_edge_id, lane, epoch, seq, hash)
values (%(by_edge_id)s, %(from_edge_id)s, %(lane)s, %(epoch)s, %(seq)s, %(hash)s)
on conflict do nothing;

-- advance_adopted --
-- A run was taken.
update adopted_head set seq = %(seq)s, hash = %(hash)s, updated_at = now()
where edge_id = %(by_edge_id)s and from_edge_id = %(from_edge_id)s
  and lane = %(lane)s and epoch = %(epoch)s;

-- lock_edge --
-- One hello at a time may change an agent's epoch.
select edge_id from edge where edge_id = %(edge_id)s for update;

-- newest_lanes --
-- All lanes of an agent in its newest epoch.
select lane, epoch, nonce, seq, hash, state from stream_head
where edge_id = %(edge_id)s
  and epoch = (select max(epoch) from stream_head where edge_id = %(edge_id)s)
order by lane;

-- last_issue --
-- The last epoch that the agent was given without a person.
select epoch, recovery_id, (extract(epoch from issued_at) * 1000)::bigint as issued_at_ms,
       money_seq, receipts_seq, cleared_at is not null as cleared
from epoch_issue where edge_id = %(edge_id)s order by epoch desc limit 1;

-- put_issue --
-- A new epoch, and whose recovery it was given to.
insert into epoch_issue (edge_id, epoch, recovery_id, issued_at, money_seq, receipts_seq)
values (%(edge_id)s, %(epoch)s, %(recovery_id)s, to_timestamp(%(now_ms)s::bigint / 1000.0),
        %(money_seq)s, %(receipts_seq)s);

-- fence --
-- Older epochs end.
update stream_head set state = 'fenced', updated_at = now()
where edge_id = %(edge_id)s and epoch < %(epoch)s;

-- arrived --
-- How far the records of an epoch are here, taken or adopted.
select h.lane, greatest(h.seq, coalesce(a.seq, 0)) as seq
from stream_head h left join adopted_head a
    on a.edge_id = h.edge_id and a.from_edge_id = h.edge_id and a.lane = h.lane
       and a.epoch = h.epoch
where h.edge_id = %(edge_id)s and h.epoch = %(epoch)s;

-- others_heard --
-- Up to when the other agents of the store have told everything; no row value where there are none.
select (extract(epoch from min(
    case when o.queue_depth = 0 then o.last_contact_at else to_timestamp(0) end)) * 1000)::bigint
    as heard_until_ms
from edge e join edge o on o.store_id = e.store_id and o.edge_id <> e.edge_id
where e.edge_id = %(edge_id)s and o.state <> 'revoked' and o.last_contact_at is not null;

-- mark_cleared --
-- The leases of the epoch before are settled.
update epoch_issue set cleared_at = now() where edge_id = %(edge_id)s and epoch = %(epoch)s;
