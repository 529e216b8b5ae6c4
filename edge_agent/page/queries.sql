-- receipts --
-- The latest receipts before a place in their order, the newest first.
SELECT rowid, receipt_id, state, fact, recorded_at_ms FROM receipt
WHERE rowid < :before ORDER BY rowid DESC LIMIT :count;

-- receipt --
-- One receipt.
SELECT rowid, receipt_id, state, fact, recorded_at_ms FROM receipt WHERE receipt_id = :receipt_id;

-- returns_of --
-- What came back of a sale.
SELECT fact FROM goods_return
WHERE sale_uid = (SELECT record_uid FROM receipt WHERE receipt_id = :receipt_id) ORDER BY rowid;

-- counts --
-- How much head office has told this shop.
SELECT (SELECT count(*) FROM shown_product) AS products,
    (SELECT count(*) FROM shown_customer) AS customers;

-- store --
-- The store as head office describes it.
SELECT entry FROM store LIMIT 1;

-- peers --
-- The other agents of this store.
SELECT entry FROM peer ORDER BY edge_id LIMIT 100;

-- relayed --
-- What tills have given this hub to carry: batches, and how many tills they are of.
SELECT count(*), count(DISTINCT edge_id) FROM relay;
