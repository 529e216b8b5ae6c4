-- receipt --
-- What is known of one receipt.
SELECT state, body_sha256, record_uid, fact FROM receipt WHERE receipt_id = :receipt_id;

-- insert_committed --
-- A sale that was made.
INSERT INTO receipt (receipt_id, state, body_sha256, record_uid, fact, recorded_at_ms)
VALUES (:receipt_id, 'committed', :body_sha256, :record_uid, :fact, :recorded_at_ms);

-- insert_cancelled --
-- A receipt that will not become a sale.
INSERT INTO receipt (receipt_id, state, recorded_at_ms)
VALUES (:receipt_id, 'cancelled', :recorded_at_ms);

-- insert_lease_use --
-- Points one receipt takes from one lease.
INSERT INTO lease_use (lease_id, receipt_id, points_centi)
VALUES (:lease_id, :receipt_id, :points_centi)
ON CONFLICT (lease_id, receipt_id) DO UPDATE SET points_centi = points_centi + excluded.points_centi;

-- rights --
-- What a customer may still spend here without asking.
SELECT l.lease_id, l.asset, l.spend_until_ms,
       l.granted - coalesce(
           (SELECT sum(u.points_centi) FROM lease_use u WHERE u.lease_id = l.lease_id), 0)
FROM lease l
WHERE l.owner = :owner AND l.state = 'open' AND l.spend_until_ms > :now_ms
ORDER BY l.spend_until_ms, l.lease_id;
