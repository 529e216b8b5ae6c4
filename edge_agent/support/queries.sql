-- rows --
-- How many rows there are of what a shop has most of.
SELECT 'receipts' AS name, count(*) AS count FROM receipt
UNION ALL SELECT 'returns', count(*) FROM goods_return
UNION ALL SELECT 'records', count(*) FROM outbox
UNION ALL SELECT 'without_a_number', count(*) FROM held
UNION ALL SELECT 'members', count(*) FROM shown_customer
UNION ALL SELECT 'goods', count(*) FROM shown_product
UNION ALL SELECT 'leases', count(*) FROM lease
UNION ALL SELECT 'holds', count(*) FROM hold
UNION ALL SELECT 'batches_of_tills', count(*) FROM relay
UNION ALL SELECT 'agents', count(*) FROM peer
UNION ALL SELECT 'files', count(*) FROM question;

-- recovery --
-- Whether the records are being recovered, and why.
SELECT reason, since_ms FROM recovery;

-- facts --
-- The last sales, in which their incidents stand.
SELECT fact, recorded_at_ms FROM receipt WHERE fact IS NOT NULL ORDER BY rowid DESC LIMIT :count;
