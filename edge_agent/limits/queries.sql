-- put_told --
-- What central says that a customer used at an edge.
INSERT INTO told_use (key, customer_id, promotion, measure, period, edge_id, amount)
VALUES (:key, :customer_id, :promotion, :measure, :period, :edge_id, :amount)
ON CONFLICT (key) DO UPDATE SET amount = excluded.amount;

-- forget_told --
-- A period that is over, or a customer who is another now.
DELETE FROM told_use WHERE key = :key;

-- told_entries --
-- What is kept of some keys.
SELECT key, customer_id, promotion, measure, period, edge_id, amount FROM told_use
WHERE key IN (SELECT value FROM json_each(:keys));

-- told --
-- What central says of a customer and some promotions.
SELECT promotion, measure, period, edge_id, amount FROM told_use
WHERE customer_id = :customer_id AND promotion IN (SELECT value FROM json_each(:promotions));

-- own --
-- What was used here, by this edge (0) and by whoever it was before.
SELECT promotion, measure, period, edge_id, amount FROM own_use
WHERE customer_id = :customer_id AND promotion IN (SELECT value FROM json_each(:promotions));

-- add_own --
-- A sale used more. Central may know of more uses here than this file does, after one that was put
-- back: the count goes on from there.
INSERT INTO own_use (customer_id, promotion, measure, period, edge_id, amount, last_date)
VALUES (:customer_id, :promotion, :measure, :period, 0, :amount + :known, :last_date)
ON CONFLICT (customer_id, promotion, measure, period, edge_id)
DO UPDATE SET amount = max(amount, :known) + :amount;

-- told_of --
-- What central says of one count of this edge's.
SELECT amount FROM told_use
WHERE customer_id = :customer_id AND promotion = :promotion AND measure = :measure
  AND period = :period AND edge_id = :edge_id;

-- put_own --
-- What another edge of this shop has counted, as it says itself.
INSERT INTO own_use (customer_id, promotion, measure, period, edge_id, amount, last_date)
VALUES (:customer_id, :promotion, :measure, :period, :edge_id, :amount, :last_date)
ON CONFLICT (customer_id, promotion, measure, period, edge_id)
DO UPDATE SET amount = max(amount, excluded.amount);

-- own_of_customer --
-- All that the edges of this shop have counted of a customer.
SELECT promotion, measure, period, edge_id, amount FROM own_use WHERE customer_id = :customer_id
ORDER BY promotion, measure, period, edge_id LIMIT :limit;

-- name_owner --
-- The folder is to become another edge: what was used here so far was used at that one.
UPDATE own_use SET edge_id = :edge_id WHERE edge_id = 0;

-- forget_own --
-- Some counts of periods that were over before this day.
DELETE FROM own_use WHERE (customer_id, promotion, measure, period, edge_id) IN (
    SELECT customer_id, promotion, measure, period, edge_id FROM own_use
    WHERE last_date < :before_date ORDER BY last_date LIMIT :limit);
