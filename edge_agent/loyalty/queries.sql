-- put_customer --
-- A member as a store may know them.
INSERT INTO customer (customer_id, entry) VALUES (:customer_id, :entry)
ON CONFLICT (customer_id) DO UPDATE SET entry = excluded.entry;

-- forget_cards --
-- The member's cards are told anew.
DELETE FROM card WHERE customer_id = :customer_id;

-- put_card --
-- A card belongs to the member who had it last.
INSERT INTO card (card_tag, customer_id) VALUES (:card_tag, :customer_id)
ON CONFLICT (card_tag) DO UPDATE SET customer_id = excluded.customer_id;

-- forget_customer --
-- A member who left; the cards go with them.
DELETE FROM customer WHERE customer_id = :customer_id;

-- customer --
-- One member.
SELECT entry FROM shown_customer WHERE customer_id = :customer_id;

-- customer_settled --
-- The same while no checkpoint waits for its place.
SELECT entry FROM customer WHERE customer_id = :customer_id;

-- customer_by_card_settled --
-- The member of a card while no checkpoint waits for its place.
SELECT entry FROM customer
WHERE customer_id = (SELECT customer_id FROM card WHERE card_tag = :card_tag);

-- customer_by_card --
-- The member of a card.
SELECT entry FROM shown_customer
WHERE customer_id = (SELECT customer_id FROM shown_card WHERE card_tag = :card_tag);

-- put_balance --
-- Points as central sees them.
INSERT INTO balance (customer_id, account, available_centi, as_of_ms)
VALUES (:customer_id, :account, :available_centi, :as_of_ms)
ON CONFLICT (customer_id, account)
DO UPDATE SET available_centi = excluded.available_centi, as_of_ms = excluded.as_of_ms;

-- forget_balance --
-- An account that is no more.
DELETE FROM balance WHERE customer_id = :customer_id AND account = :account;

-- balances --
-- The member's points by account.
SELECT account, available_centi FROM shown_balance WHERE customer_id = :customer_id
ORDER BY account;

-- balances_settled --
-- The same while no checkpoint waits for its place.
SELECT account, available_centi FROM balance WHERE customer_id = :customer_id
ORDER BY account;

-- customer_entries --
-- What is kept of some members.
SELECT customer_id, entry FROM customer
WHERE customer_id IN (SELECT value FROM json_each(:keys));

-- cards_of --
-- The cards of some members.
SELECT card_tag, customer_id FROM card
WHERE customer_id IN (SELECT value FROM json_each(:keys));

-- cards_touched --
-- The cards of some members, and some cards, with whose they are now.
SELECT card_tag, customer_id FROM card WHERE customer_id IN (SELECT value FROM json_each(:keys))
UNION
SELECT card_tag, customer_id FROM card
WHERE card_tag IN (SELECT unhex(value) FROM json_each(:tags));

-- forget_card --
-- A card that nobody has any longer.
DELETE FROM card WHERE card_tag = :card_tag;

-- balance_entries --
-- What is kept of some accounts, named as in the feed: up to the last slash stands the customer.
SELECT k.value, b.customer_id, b.account, b.available_centi, b.as_of_ms
FROM (SELECT value, rtrim(value, replace(value, '/', '')) AS head FROM json_each(:keys)) k
JOIN balance b ON b.customer_id = substr(k.head, 1, length(k.head) - 1)
    AND b.account = substr(k.value, length(k.head) + 1);

-- put_lease --
-- A right to spend here, as central says now. Versions keep the order, so grants only grow, but for
-- a central that was restored from a copy: it does not know the last ones.
INSERT INTO lease (lease_id, owner, asset, granted, spend_until_ms, state, edge_id, epoch, version)
VALUES (:lease_id, :owner, :asset, :granted, :spend_until_ms, :state, :edge_id, :epoch, :version)
ON CONFLICT (lease_id) DO UPDATE SET
    granted = excluded.granted,
    spend_until_ms = excluded.spend_until_ms,
    state = excluded.state,
    epoch = excluded.epoch,
    version = excluded.version;

-- put_loan --
-- A lease that central gave when asked; the feed tells it too, and what that says stands.
INSERT INTO lease (lease_id, owner, asset, granted, spend_until_ms, state, edge_id, epoch, version)
VALUES (:lease_id, :owner, :asset, :granted, :spend_until_ms, :state, :edge_id, :epoch, 0)
ON CONFLICT (lease_id) DO UPDATE SET
    granted = max(granted, excluded.granted),
    spend_until_ms = max(spend_until_ms, excluded.spend_until_ms);

-- forget_lease --
-- A right that is no more; what was used of it stays.
DELETE FROM lease WHERE lease_id = :lease_id;
