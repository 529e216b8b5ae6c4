-- put --
-- A member whom this shop made; told again, it may be known whose the name is.
INSERT INTO newcomer (operation_id, uid, customer_id, owner, is_new, card_taken, phone_end,
    phone_tag, card_tag, registered_at_ms)
VALUES (:operation_id, :uid, :customer_id, :owner, :is_new, :card_taken, :phone_end, :phone_tag,
    :card_tag, :registered_at_ms)
ON CONFLICT (operation_id) DO NOTHING;

-- by_operation --
-- What became of a till's operation.
SELECT operation_id, uid, customer_id, owner, is_new, card_taken, phone_end, phone_tag, card_tag,
    registered_at_ms
FROM newcomer WHERE operation_id = :operation_id;

-- by_name --
-- Who was given this name here.
SELECT operation_id, uid, customer_id, owner, is_new, card_taken, phone_end, phone_tag, card_tag,
    registered_at_ms
FROM newcomer WHERE customer_id = :customer_id;

-- by_tag --
-- Whose this phone or card is, as long as head office has told nothing of them; the latest.
SELECT operation_id, uid, customer_id, owner, is_new, card_taken, phone_end, phone_tag, card_tag,
    registered_at_ms
FROM newcomer n
WHERE (phone_tag = :tag OR card_tag = :tag)
    AND NOT EXISTS (SELECT 1 FROM shown_customer c WHERE c.customer_id = n.customer_id)
ORDER BY registered_at_ms DESC LIMIT 1;

-- waiting --
-- Of how many head office has told nothing yet.
SELECT count(*) FROM newcomer n WHERE owner IS NULL
    AND NOT EXISTS (SELECT 1 FROM shown_customer c WHERE c.customer_id = n.customer_id);

-- forget_past --
-- Those whom head office has told of long ago; a till asks for its operation no more.
DELETE FROM newcomer WHERE operation_id IN (
    SELECT n.operation_id FROM newcomer n
    WHERE n.registered_at_ms < :before_ms
        AND (n.owner IS NOT NULL
            OR EXISTS (SELECT 1 FROM customer c WHERE c.customer_id = n.customer_id))
    LIMIT :limit
);

-- forget_named --
-- A member who left.
DELETE FROM newcomer WHERE customer_id = ?1 OR owner = ?1;
