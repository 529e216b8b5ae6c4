-- receipt --
-- What is known of one receipt.
SELECT state, body_sha256, record_uid, fact FROM receipt WHERE receipt_id = :receipt_id;

-- insert_committed --
-- A sale that was made.
INSERT INTO receipt (receipt_id, state, body_sha256, record_uid, fact, recorded_at_ms)
VALUES (:receipt_id, 'committed', :body_sha256, :record_uid, :fact, :recorded_at_ms);

-- insert_committed_again --
-- The same, from the second journal; one that is here stays.
INSERT INTO receipt (receipt_id, state, body_sha256, record_uid, fact, recorded_at_ms)
VALUES (:receipt_id, 'committed', :body_sha256, :record_uid, :fact, :recorded_at_ms)
ON CONFLICT DO NOTHING;

-- insert_cancelled --
-- A receipt that will not become a sale.
INSERT INTO receipt (receipt_id, state, recorded_at_ms)
VALUES (:receipt_id, 'cancelled', :recorded_at_ms);

-- oldest_receipts --
-- What came first; in the order of rows, which is that of time.
SELECT rowid, record_uid, recorded_at_ms FROM receipt ORDER BY rowid LIMIT :limit;

-- receipt_dated_after --
-- The first date after this row that is not a wrong clock's.
SELECT recorded_at_ms FROM receipt
WHERE rowid > :rowid AND recorded_at_ms <= :ahead_ms ORDER BY rowid LIMIT 1;

-- forget_receipts_until --
-- What came first, up to this row.
DELETE FROM receipt WHERE rowid <= :rowid;

-- owners_with_rights --
-- Which of these owners this agent has leases, or parts of leases, of.
SELECT owner FROM lease WHERE owner IN (SELECT value FROM json_each(:owners))
UNION SELECT owner FROM own_sub_lease WHERE owner IN (SELECT value FROM json_each(:owners));
