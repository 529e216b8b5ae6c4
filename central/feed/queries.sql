-- put --
-- The present state of a key; the new id is taken under the row's lock, so it grows per key.
insert into feed_change (scope, topic, key, operation, payload)
values (%(scope)s, %(topic)s, %(key)s, %(operation)s, %(payload)s)
on conflict (scope, topic, key) do update
set change_id = nextval('feed_change_id_seq'), xid = pg_current_xact_id(),
    operation = excluded.operation, payload = excluded.payload;

-- page --
-- Changes after the cursor, none of a transaction that a running one may still precede. The order
-- names the table: a bare xid would be the text of the result, and "1000" sorts before "999".
select feed_change.xid::text as xid, change_id, topic, key, operation, payload
from feed_change
where scope in ('*', %(store_id)s)
  and (xid, change_id) > (%(xid)s::text::xid8, %(change_id)s)
  and xid < pg_snapshot_xmin(pg_current_snapshot())
order by feed_change.xid, feed_change.change_id
limit %(limit)s;
