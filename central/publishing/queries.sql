-- newest --
-- The newest receipts of all shops.
select receipt, answer, body from receipt order by committed_at desc, record_uid limit %(limit)s;
