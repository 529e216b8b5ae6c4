-- copy_receipts --
-- Many receipts at once; `central.receipts.copying` gives the rows.
copy receipt (record_uid, content_sha256, receipt_id, edge_id, store_id, register, business_date,
    committed_at, customer_id, bundle_version, list_minor, discount_minor, net_minor,
    points_spent_centi, to_pay_minor, earned_centi, incident_count, line_numbers, line_skus,
    line_qty_milli, line_list_minor, line_discount_minor, line_net_minor, line_points_spent_minor,
    line_to_pay_minor, applied_lines, applied_promotions, applied_discount_minor, applied_qty_milli,
    body)
from stdin;

-- copy_returns --
-- Many returns at once.
copy receipt_return (record_uid, content_sha256, return_id, edge_id, store_id, register,
    business_date, returned_at, sale_uid, sale_receipt_id, customer_id, money_minor,
    points_back_centi, points_taken_centi, body)
from stdin;

-- copy_facts --
-- Many other facts at once.
copy fact (record_uid, content_sha256, kind, edge_id, store_id, body) from stdin;

-- copy_incidents --
-- What did not fit.
copy receipt_incident (record_uid, number, code, detail) from stdin;

-- known --
-- Which of these facts are here, and their content: sales in the table of sales only if that is
-- asked for, everything else in all tables.
select record_uid, content_sha256 from receipt where record_uid = any(%(in_sales)s::bytea[])
union all
select record_uid, content_sha256 from receipt_return where record_uid = any(%(uids)s::bytea[])
union all
select record_uid, content_sha256 from fact where record_uid = any(%(uids)s::bytea[]);

-- known_ids --
-- Which of these receipt ids one agent has sent before.
select receipt_id from receipt
where store_id = %(store_id)s and edge_id = %(edge_id)s and receipt_id = any(%(receipt_ids)s);

-- list --
-- One page of receipts, newest first; a null filter does not filter.
select encode(r.record_uid, 'hex') as uid, r.receipt_id, r.edge_id, r.store_id,
       s.name as store_name, s.timezone, s.currency, r.register, r.business_date, r.committed_at,
       r.received_at, r.customer_id, r.bundle_version, r.list_minor, r.discount_minor, r.net_minor,
       r.points_spent_centi, r.to_pay_minor, r.earned_centi, r.incident_count
from receipt r join store s using (store_id)
where (%(store_id)s::text is null or r.store_id = %(store_id)s)
  and (%(customer_id)s::text is null or r.customer_id = %(customer_id)s)
  and (%(receipt_id)s::text is null or r.receipt_id = %(receipt_id)s)
  and (%(promotion_id)s::text is null or exists (
      select from receipt_applied a
      where a.record_uid = r.record_uid and a.promotion_id = %(promotion_id)s))
  and (%(from_date)s::date is null or r.business_date >= %(from_date)s::date)
  and (%(to_date)s::date is null or r.business_date <= %(to_date)s::date)
  and (not %(incidents)s or r.incident_count > 0)
order by r.committed_at desc, r.record_uid
limit %(limit)s offset %(offset)s;

-- get --
-- One receipt.
select encode(r.record_uid, 'hex') as uid, r.*, s.name as store_name, s.timezone, s.currency
from receipt r join store s using (store_id) where r.record_uid = %(record_uid)s;

-- lines --
-- Its lines.
select line, sku, name, qty_milli, list_minor, discount_minor, net_minor, points_spent_minor,
       to_pay_minor
from receipt_line where record_uid = %(record_uid)s order by line;

-- applied --
-- Its promotions.
select line, promotion_id, discount_minor, qty_milli
from receipt_applied where record_uid = %(record_uid)s order by line, promotion_id;

-- incidents --
-- Its incidents.
select code, detail from receipt_incident where record_uid = %(record_uid)s order by number;

-- after --
-- Receipts in the order of their uid, for a walk over all of them.
select record_uid, bundle_version, receipt, answer, body from receipt
where record_uid > %(record_uid)s order by record_uid limit 500;

-- audit --
-- What must be zero: receipts whose lines do not add up, and receipts counted twice. Two copies of an
-- agent may sell under one id at different moments: those are two.
select count(*) as receipts,
    count(*) filter (where r.list_minor - r.discount_minor <> r.net_minor
        or l.list_minor is distinct from r.list_minor
        or l.discount_minor is distinct from r.discount_minor
        or l.to_pay_minor is distinct from r.to_pay_minor) as wrong_sums,
    count(*) - count(distinct (r.store_id, r.receipt_id, r.committed_at)) as counted_twice,
    coalesce(sum(r.discount_minor), 0)::bigint as discount_minor,
    coalesce(sum(r.to_pay_minor), 0)::bigint as to_pay_minor,
    coalesce(sum(r.earned_centi), 0)::bigint as earned_centi,
    coalesce(sum(r.points_spent_centi), 0)::bigint as spent_centi,
    coalesce(sum(r.incident_count), 0)::bigint as incidents,
    (select count(*) from quarantine) as quarantined
from receipt r left join lateral (
    select coalesce(sum(list_minor), 0)::bigint as list_minor,
        coalesce(sum(discount_minor), 0)::bigint as discount_minor,
        coalesce(sum(to_pay_minor), 0)::bigint as to_pay_minor
    from unnest(r.line_list_minor, r.line_discount_minor, r.line_to_pay_minor)
        as l (list_minor, discount_minor, to_pay_minor)
) l on true;
