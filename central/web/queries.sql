-- stores --
-- Every store with its agents and what they last said.
select s.store_id, s.name, e.edge_id, e.kind, e.state, e.agent_version, e.last_contact_at,
       e.bundle_version, e.bundle_error, e.queue_depth, e.oldest_queued_at,
       coalesce(e.last_contact_at > now() - make_interval(secs => %(online_s)s), false) as online,
       extract(epoch from now() - e.last_contact_at)::bigint as silent_s,
       extract(epoch from now() - e.oldest_queued_at)::bigint as oldest_s,
       (select max(version) from bundle) as wanted_version,
       (select count(*) from receipt r where r.edge_id = e.edge_id) as receipts
from store s left join edge e using (store_id)
order by s.name, s.store_id, e.edge_id;

-- store_names --
-- The stores a filter offers.
select store_id, name from store order by name, store_id;

-- receipts --
-- One page of receipts, newest first; one more than shown tells whether there is a next page.
select r.record_uid, r.receipt_id, r.store_id, s.name as store_name, s.timezone, s.currency,
       r.register, r.business_date, r.committed_at, r.customer_id, r.list_minor, r.discount_minor,
       r.points_spent_centi, r.to_pay_minor, r.earned_centi, r.incident_count
from receipt r join store s using (store_id)
where (%(store)s::text is null or r.store_id = %(store)s)
  and (%(date)s::date is null or r.business_date = %(date)s)
  and (%(text)s::text is null or r.receipt_id = %(text)s or r.customer_id = %(text)s)
  and (not %(discounted)s::boolean or r.discount_minor > 0)
order by r.committed_at desc, r.record_uid
limit %(limit)s offset %(offset)s;

-- receipt --
-- One receipt with the programme it was priced by.
select r.record_uid, r.receipt_id, r.edge_id, r.store_id, s.name as store_name, s.timezone,
       s.currency, r.register, r.committed_at, r.received_at, r.customer_id, r.bundle_version,
       r.list_minor, r.discount_minor, r.net_minor, r.points_spent_centi, r.to_pay_minor,
       r.earned_centi, r.receipt, r.answer, r.body, b.document, b.programme
from receipt r join store s using (store_id) left join bundle b on b.version = r.bundle_version
where r.record_uid = %(uid)s;

-- lines --
-- Its lines in order.
select line, sku, name, qty_milli, list_minor, discount_minor, points_spent_minor, to_pay_minor
from receipt_line where record_uid = %(uid)s order by line;

-- applied --
-- What each promotion took off each line.
select line, promotion_id, discount_minor, qty_milli
from receipt_applied where record_uid = %(uid)s order by line, promotion_id;

-- incidents --
-- What did not go as promised.
select code, detail from receipt_incident where record_uid = %(uid)s order by number;

-- active_document --
-- The newest programme document.
select version, programme, document from bundle order by version desc limit 1;

-- versions --
-- The published versions, newest first.
select version, programme, published_at, published_by, length(bytes) as size_bytes,
       encode(sha256, 'hex') as sha256
from bundle order by version desc limit 50;

-- sums --
-- What all receipts together gave.
select count(*) as receipts, count(*) filter (where discount_minor > 0) as discounted,
       coalesce(sum(discount_minor), 0)::bigint as discount_minor,
       coalesce(sum(earned_centi), 0)::bigint as earned_centi,
       coalesce(sum(points_spent_centi), 0)::bigint as points_spent_centi
from receipt;

-- promotion_use --
-- How often each promotion acted and what it gave.
select promotion_id, count(distinct record_uid) as receipts, sum(discount_minor)::bigint as discount_minor
from receipt_applied group by promotion_id;
