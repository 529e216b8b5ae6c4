-- A large checkpoint is shown at once and moved to its places little by little.

ALTER TABLE feed ADD COLUMN phase INTEGER NOT NULL DEFAULT 0 CHECK (phase BETWEEN 0 AND 3);
ALTER TABLE feed_staged ADD COLUMN fate INTEGER NOT NULL DEFAULT 0 CHECK (fate BETWEEN 0 AND 3);
ALTER TABLE feed_staged ADD COLUMN mark BLOB NOT NULL DEFAULT x'';

CREATE TABLE card_next (
    card_tag BLOB PRIMARY KEY,
    customer_id TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX card_next_by_customer ON card_next (customer_id);

CREATE TABLE balance_next (
    customer_id TEXT NOT NULL,
    account TEXT NOT NULL,
    available_centi INTEGER,
    as_of_ms INTEGER NOT NULL,
    PRIMARY KEY (customer_id, account)
) STRICT, WITHOUT ROWID;

CREATE VIEW shown_product AS
SELECT s.key AS sku, s.payload AS entry FROM feed_staged s
WHERE s.topic = 'product' AND s.fate = 1 AND EXISTS (SELECT 1 FROM feed WHERE phase = 1)
UNION ALL
SELECT t.sku, t.entry FROM product t
WHERE NOT EXISTS (SELECT 1 FROM feed_staged s WHERE s.topic = 'product' AND s.key = t.sku
    AND s.fate > 0 AND EXISTS (SELECT 1 FROM feed WHERE phase = 1));

CREATE VIEW shown_coupon AS
SELECT s.key AS code, s.payload AS entry FROM feed_staged s
WHERE s.topic = 'coupon' AND s.fate = 1 AND EXISTS (SELECT 1 FROM feed WHERE phase = 1)
UNION ALL
SELECT t.code, t.entry FROM coupon t
WHERE NOT EXISTS (SELECT 1 FROM feed_staged s WHERE s.topic = 'coupon' AND s.key = t.code
    AND s.fate > 0 AND EXISTS (SELECT 1 FROM feed WHERE phase = 1));

CREATE VIEW shown_customer AS
SELECT s.key AS customer_id, s.payload AS entry FROM feed_staged s
WHERE s.topic = 'customer' AND s.fate = 1 AND EXISTS (SELECT 1 FROM feed WHERE phase = 1)
UNION ALL
SELECT t.customer_id, t.entry FROM customer t
WHERE NOT EXISTS (SELECT 1 FROM feed_staged s WHERE s.topic = 'customer' AND s.key = t.customer_id
    AND s.fate > 0 AND EXISTS (SELECT 1 FROM feed WHERE phase = 1));

CREATE VIEW shown_card AS
SELECT n.card_tag, n.customer_id FROM card_next n
WHERE n.customer_id IS NOT NULL AND EXISTS (SELECT 1 FROM feed WHERE phase = 1)
UNION ALL
SELECT k.card_tag, k.customer_id FROM card k
WHERE NOT EXISTS (SELECT 1 FROM card_next n WHERE n.card_tag = k.card_tag
    AND EXISTS (SELECT 1 FROM feed WHERE phase = 1));

CREATE VIEW shown_balance AS
SELECT n.customer_id, n.account, n.available_centi, n.as_of_ms FROM balance_next n
WHERE n.available_centi IS NOT NULL AND EXISTS (SELECT 1 FROM feed WHERE phase = 1)
UNION ALL
SELECT b.customer_id, b.account, b.available_centi, b.as_of_ms FROM balance b
WHERE NOT EXISTS (SELECT 1 FROM balance_next n
    WHERE n.customer_id = b.customer_id AND n.account = b.account
    AND EXISTS (SELECT 1 FROM feed WHERE phase = 1));
