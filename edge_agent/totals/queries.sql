-- receipts --
-- Receipts in the order in which they were recorded, the latest first.
SELECT rowid, fact, recorded_at_ms FROM receipt
WHERE rowid < :before ORDER BY rowid DESC LIMIT :count;

-- returns --
-- Returns in the same order.
SELECT rowid, fact, recorded_at_ms FROM goods_return
WHERE rowid < :before ORDER BY rowid DESC LIMIT :count;
