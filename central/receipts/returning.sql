-- lock --
-- One at a time decides about the goods of a sale, whether or not the sale itself is here.
select pg_advisory_xact_lock(hashtextextended('return:' || encode(%(sale_uid)s::bytea, 'hex'), 0));

-- lock_all --
-- The same for many sales, in one order.
select pg_advisory_xact_lock(hashtextextended('return:' || name, 0))
from (
    select encode(uid, 'hex') as name from unnest(%(sale_uids)s::bytea[]) as s (uid) order by 1
) as sales;

-- sales --
-- Sales of one shop under a receipt id; an empty register is any. Two are enough to be in doubt.
select record_uid, receipt_id, edge_id, store_id, register, business_date::text, bundle_version,
       (extract(epoch from committed_at) * 1000)::bigint as committed_at_ms, receipt, answer, body
from receipt
where store_id = %(store_id)s and receipt_id = %(receipt_id)s
  and (%(register)s = '' or register = %(register)s)
limit 2;

-- sold --
-- How much of each line was sold.
select record_uid, receipt_id, line_numbers, line_qty_milli from receipt
where record_uid = any(%(sale_uids)s::bytea[]);

-- came_back --
-- What has come back of sales, and what is set aside for other returns than one; in one statement,
-- for a return that arrives takes the place of what was set aside for it.
select sale_uid, record_uid, body, null::bigint[] as line_numbers, null::bigint[] as line_qty_milli
from receipt_return
where sale_receipt_id = any(%(receipt_ids)s::text[]) and sale_uid = any(%(sale_uids)s::bytea[])
union all
select sale_uid, return_uid, null, line_numbers, line_qty_milli
from return_claim
where sale_uid = any(%(sale_uids)s::bytea[])
  and (edge_id, return_id) <> (%(edge_id)s, %(return_id)s)
  and claimed_at > now() - make_interval(secs => %(claim_s)s);

-- claim --
-- Set goods aside for a return; asked again, for what it wants now.
insert into return_claim (edge_id, return_id, return_uid, sale_uid, line_numbers, line_qty_milli)
values (%(edge_id)s, %(return_id)s, %(return_uid)s, %(sale_uid)s, %(line_numbers)s,
        %(line_qty_milli)s)
on conflict (edge_id, return_id) do update
set return_uid = excluded.return_uid, sale_uid = excluded.sale_uid,
    line_numbers = excluded.line_numbers, line_qty_milli = excluded.line_qty_milli,
    claimed_at = now();

-- forget_claims --
-- The returns are here themselves; and what nobody came for.
delete from return_claim
where return_uid = any(%(return_uids)s::bytea[])
   or claimed_at < now() - make_interval(secs => %(claim_s)s);

-- name_sales --
-- Returns made without the line named their sale by its receipt: whose record that is.
update receipt_return r set sale_uid = s.record_uid
from unnest(%(uids)s::bytea[], %(store_ids)s::text[], %(receipt_ids)s::text[])
    as told (uid, store_id, receipt_id)
cross join lateral (
    select (array_agg(record_uid))[1] as record_uid from receipt
    where receipt.store_id = told.store_id and receipt.receipt_id = told.receipt_id
    having count(*) = 1
) as s
where r.record_uid = told.uid and r.sale_uid is null
returning r.record_uid, r.sale_uid;
