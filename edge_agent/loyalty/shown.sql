-- cards_touched --
-- The cards of some members, and some cards, with whose they will be by what was worked out so far.
SELECT card_tag, customer_id FROM card_next
WHERE customer_id IN (SELECT value FROM json_each(:keys))
UNION
SELECT card_tag, customer_id FROM card_next
WHERE customer_id IS NOT NULL AND card_tag IN (SELECT unhex(value) FROM json_each(:tags))
UNION
SELECT k.card_tag, k.customer_id FROM card k
WHERE k.customer_id IN (SELECT value FROM json_each(:keys))
    AND NOT EXISTS (SELECT 1 FROM card_next n WHERE n.card_tag = k.card_tag)
UNION
SELECT k.card_tag, k.customer_id FROM card k
WHERE k.card_tag IN (SELECT unhex(value) FROM json_each(:tags))
    AND NOT EXISTS (SELECT 1 FROM card_next n WHERE n.card_tag = k.card_tag);

-- expect_card --
-- Whose a card will be; nobody's: it will be forgotten.
INSERT INTO card_next (card_tag, customer_id) VALUES (:card_tag, :customer_id)
ON CONFLICT (card_tag) DO UPDATE SET customer_id = excluded.customer_id;

-- expect_balance --
-- What an account will hold; nothing: it will be forgotten.
INSERT INTO balance_next (customer_id, account, available_centi, as_of_ms)
VALUES (:customer_id, :account, :available_centi, :as_of_ms)
ON CONFLICT (customer_id, account)
DO UPDATE SET available_centi = excluded.available_centi, as_of_ms = excluded.as_of_ms;

-- put_member --
-- A member as a store may know them; the cards come apart.
INSERT INTO customer (customer_id, entry) VALUES (:customer_id, :entry)
ON CONFLICT (customer_id) DO UPDATE SET entry = excluded.entry;

-- forget_member --
-- A member who left; the cards go with them.
DELETE FROM customer WHERE customer_id = :customer_id;

-- next_cards --
-- Some cards whose owners were worked out.
SELECT card_tag, customer_id FROM card_next ORDER BY card_tag LIMIT :limit;

-- move_card --
-- A card belongs to its new owner.
INSERT INTO card (card_tag, customer_id) SELECT :card_tag, customer_id
FROM customer WHERE customer_id = :customer_id
ON CONFLICT (card_tag) DO UPDATE SET customer_id = excluded.customer_id;

-- forget_card --
-- A card that nobody has any longer.
DELETE FROM card WHERE card_tag = :card_tag;

-- drop_card --
-- It is in its place.
DELETE FROM card_next WHERE card_tag = :card_tag;

-- next_balances --
-- Some accounts of which it was worked out what they hold.
SELECT customer_id, account, available_centi, as_of_ms FROM balance_next
ORDER BY customer_id, account LIMIT :limit;

-- move_balance --
-- An account holds so much.
INSERT INTO balance (customer_id, account, available_centi, as_of_ms)
VALUES (:customer_id, :account, :available_centi, :as_of_ms)
ON CONFLICT (customer_id, account)
DO UPDATE SET available_centi = excluded.available_centi, as_of_ms = excluded.as_of_ms;

-- forget_balance --
-- An account that is no more.
DELETE FROM balance WHERE customer_id = :customer_id AND account = :account;

-- drop_balance --
-- It is in its place.
DELETE FROM balance_next WHERE customer_id = :customer_id AND account = :account;

-- sweep_cards --
-- Some of them are forgotten.
DELETE FROM card_next
WHERE card_tag IN (SELECT card_tag FROM card_next LIMIT :limit);

-- sweep_balances --
-- Some of them are forgotten.
DELETE FROM balance_next
WHERE (customer_id, account) IN (SELECT customer_id, account FROM balance_next LIMIT :limit);

-- any_expected --
-- Whether anything is left.
SELECT EXISTS (SELECT 1 FROM card_next) OR EXISTS (SELECT 1 FROM balance_next);
