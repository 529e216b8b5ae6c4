-- sale --
-- The sale of this id, as it was recorded.
SELECT record_uid, fact FROM receipt WHERE receipt_id = :receipt_id AND state = 'committed';

-- returns_of --
-- What has come back of a sale here.
SELECT record_uid, fact FROM goods_return WHERE sale_uid = :sale_uid ORDER BY rowid;

-- goods_return --
-- One return.
SELECT body_sha256, record_uid, fact FROM goods_return WHERE return_id = :return_id;

-- insert_return --
-- A return that was made.
INSERT INTO goods_return (return_id, body_sha256, record_uid, sale_uid, fact, recorded_at_ms)
VALUES (:return_id, :body_sha256, :record_uid, :sale_uid, :fact, :recorded_at_ms);

-- insert_return_again --
-- The same, from the second journal; one that is here stays.
INSERT INTO goods_return (return_id, body_sha256, record_uid, sale_uid, fact, recorded_at_ms)
VALUES (:return_id, :body_sha256, :record_uid, :sale_uid, :fact, :recorded_at_ms)
ON CONFLICT DO NOTHING;

-- oldest_returns --
-- What came first, and whether the sale that it is of is here; rows are in the order of time.
SELECT rowid, record_uid, recorded_at_ms,
    EXISTS (SELECT 1 FROM receipt r WHERE r.record_uid = goods_return.sale_uid)
FROM goods_return ORDER BY rowid LIMIT :limit;

-- return_dated_after --
-- The first date after this row that is not a wrong clock's.
SELECT recorded_at_ms FROM goods_return
WHERE rowid > :rowid AND recorded_at_ms <= :ahead_ms ORDER BY rowid LIMIT 1;

-- forget_returns_until --
-- What came first, up to this row.
DELETE FROM goods_return WHERE rowid <= :rowid;
