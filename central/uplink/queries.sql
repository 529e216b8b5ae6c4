-- head --
-- A stream's head, locked: batches of one stream go one after another.
select nonce, seq, hash, state from stream_head
where edge_id = %(edge_id)s and lane = %(lane)s and epoch = %(epoch)s for update;

-- newest_epoch --
-- The newest epoch central issued for a lane.
select max(epoch) as epoch from stream_head where edge_id = %(edge_id)s and lane = %(lane)s;

-- hash_at --
-- The chain at a record that was taken.
select hash from stream_record
where edge_id = %(edge_id)s and lane = %(lane)s and epoch = %(epoch)s and seq = %(seq)s;

-- put_record --
-- A record was taken.
insert into stream_record (edge_id, lane, epoch, seq, hash, uid)
values (%(edge_id)s, %(lane)s, %(epoch)s, %(seq)s, %(hash)s, %(uid)s);

-- advance --
-- The new head.
update stream_head set seq = %(seq)s, hash = %(hash)s, updated_at = now()
where edge_id = %(edge_id)s and lane = %(lane)s and epoch = %(epoch)s;

-- freeze --
-- Two copies wrote: nothing more is taken until a person decides.
update stream_head set state = 'frozen', updated_at = now()
where edge_id = %(edge_id)s and lane = %(lane)s and epoch = %(epoch)s;

-- quarantine --
-- Evidence is kept, never thrown away.
insert into quarantine (edge_id, lane, epoch, first_seq, last_seq, reason, detail, data)
values (%(edge_id)s, %(lane)s, %(epoch)s, %(first_seq)s, %(last_seq)s, %(reason)s, %(detail)s, %(data)s);
