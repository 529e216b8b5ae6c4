-- put --
-- A code as head office knows it now.
insert into coupon (code, series, valid_from, valid_to)
values (%(code)s, %(series)s, %(valid_from_date)s::date, %(valid_to_date)s::date)
on conflict (code) do update
set series = excluded.series, valid_from = excluded.valid_from, valid_to = excluded.valid_to;
