-- head --
-- A stream's head, locked: batches of one stream go one after another. And the newest epoch.
select h.nonce, h.seq, h.hash, h.state,
       (select max(n.epoch) from stream_head n where n.edge_id = h.edge_id and n.lane = h.lane)
           as newest_epoch
from stream_head h
where h.edge_id = %(edge_id)s and h.lane = %(lane)s and h.epoch = %(epoch)s for update of h;

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

-- freeze --
-- Two copies wrote: nothing more is taken until it is cleared up.
update stream_head set state = 'frozen', updated_at = now()
where edge_id = %(edge_id)s and lane = any(%(lanes)s) and epoch = %(epoch)s and state = 'open';

-- quarantine --
-- Evidence is kept, never thrown away; the same bytes for the same reason once.
insert into quarantine (edge_id, lane, epoch, first_seq, last_seq, reason, detail, data)
values (%(edge_id)s, %(lane)s, %(epoch)s, %(first_seq)s, %(last_seq)s, %(reason)s, %(detail)s, %(data)s)
on conflict do nothing;
