-- returns --
-- One page of returns, newest first; one more than shown tells whether there is a next page.
select r.record_uid, r.return_id, s.name as store_name, s.timezone, s.currency, r.register,
       r.business_date, r.returned_at, r.sale_receipt_id, r.customer_id, r.money_minor,
       (select record_uid from receipt sold where sold.record_uid = r.sale_uid) as sale_uid,
       (select from_store.name from receipt sold join store from_store using (store_id)
        where sold.record_uid = r.sale_uid and sold.store_id <> r.store_id) as sold_in
from receipt_return r join store s using (store_id)
where not %(incidents)s::boolean
   or exists (select from receipt_incident i where i.record_uid = r.record_uid)
order by r.returned_at desc, r.record_uid
limit %(limit)s offset %(offset)s;

-- incidents --
-- What did not fit about returns, in order.
select record_uid, code, detail from receipt_incident
where record_uid = any(%(uids)s) order by record_uid, number;
