-- put --
-- A public code as head office knows it now.
insert into coupon (code, series, valid_from, valid_to)
values (%(code)s, %(series)s, %(valid_from_date)s::date, %(valid_to_date)s::date)
on conflict (code) do update
set series = excluded.series, valid_from = excluded.valid_from, valid_to = excluded.valid_to;

-- personal_among --
-- Which of these codes are a customer's own.
select code from coupon
where code = any(%(codes)s::text[]) and customer_id is not null order by code limit 1;

-- known --
-- What is known under these codes.
select code, series, customer_id, valid_from::text as valid_from_date,
       valid_to::text as valid_to_date
from coupon where code = any(%(codes)s::text[]);

-- issue --
-- New personal codes; one that is there already is left out.
insert into coupon (code, series, customer_id, valid_from, valid_to)
select code, series, customer_id, valid_from, valid_to
from unnest(%(code)s::text[], %(series)s::text[], %(customer_id)s::text[],
    %(valid_from_date)s::date[], %(valid_to_date)s::date[])
    as new(code, series, customer_id, valid_from, valid_to)
on conflict (code) do nothing;

-- issued_before --
-- Which of these transfers were made: codes that were issued once, though nobody knows them now.
select transfer_id from ledger_transfer where transfer_id = any(%(ids)s::bytea[]);

-- forget_past --
-- A bounded number of personal codes that were no longer good on that day.
delete from coupon where code in (
    select code from coupon
    where customer_id is not null and valid_to < %(day)s::date
    order by code limit %(limit)s
)
returning code;

-- give_to --
-- Another customer's from now on.
update coupon set customer_id = %(owner)s where customer_id = %(alias)s
returning code, series, customer_id, valid_from::text as valid_from_date,
    valid_to::text as valid_to_date;
