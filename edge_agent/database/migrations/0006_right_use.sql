-- What was done with a right is added up as it happens, and no longer for each question anew.

DROP VIEW lease_book;
CREATE INDEX lease_by_end ON lease (state, spend_until_ms);
CREATE INDEX hold_open ON hold (asker, held_at_ms) WHERE state = 'held';
CREATE INDEX hold_by_time ON hold (held_at_ms) WHERE state <> 'held';

CREATE TABLE right_use (
    is_part INTEGER NOT NULL CHECK (is_part IN (0, 1)),
    right_id TEXT NOT NULL,
    held_amount INTEGER NOT NULL DEFAULT 0,
    spend_count INTEGER NOT NULL DEFAULT 0,
    spent_amount INTEGER NOT NULL DEFAULT 0,
    lent_amount INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (is_part, right_id)
) STRICT, WITHOUT ROWID;

CREATE TRIGGER hold_part_added AFTER INSERT ON hold_part WHEN NEW.lease_id IS NOT NULL BEGIN
    INSERT INTO right_use (is_part, right_id, held_amount, spend_count, spent_amount)
    SELECT NEW.sub_lease_id IS NOT NULL, coalesce(NEW.sub_lease_id, NEW.lease_id),
        (h.state = 'held') * NEW.amount, h.state = 'captured', (h.state = 'captured') * NEW.amount
    FROM hold h WHERE h.uid = NEW.uid AND h.state <> 'voided'
    ON CONFLICT DO UPDATE SET held_amount = held_amount + excluded.held_amount,
        spend_count = spend_count + excluded.spend_count,
        spent_amount = spent_amount + excluded.spent_amount;
END;

CREATE TRIGGER hold_part_forgotten AFTER DELETE ON hold_part WHEN OLD.lease_id IS NOT NULL BEGIN
    INSERT INTO right_use (is_part, right_id, held_amount, spend_count, spent_amount)
    SELECT OLD.sub_lease_id IS NOT NULL, coalesce(OLD.sub_lease_id, OLD.lease_id),
        -(h.state = 'held') * OLD.amount, -(h.state = 'captured'),
        -(h.state = 'captured') * OLD.amount
    FROM hold h WHERE h.uid = OLD.uid AND h.state <> 'voided'
    ON CONFLICT DO UPDATE SET held_amount = held_amount + excluded.held_amount,
        spend_count = spend_count + excluded.spend_count,
        spent_amount = spent_amount + excluded.spent_amount;
END;

CREATE TRIGGER hold_decided AFTER UPDATE OF state ON hold WHEN NEW.state <> OLD.state BEGIN
    INSERT INTO right_use (is_part, right_id, held_amount, spend_count, spent_amount)
    SELECT p.sub_lease_id IS NOT NULL, coalesce(p.sub_lease_id, p.lease_id),
        ((NEW.state = 'held') - (OLD.state = 'held')) * p.amount,
        (NEW.state = 'captured') - (OLD.state = 'captured'),
        ((NEW.state = 'captured') - (OLD.state = 'captured')) * p.amount
    FROM hold_part p WHERE p.uid = NEW.uid AND p.lease_id IS NOT NULL
    ON CONFLICT DO UPDATE SET held_amount = held_amount + excluded.held_amount,
        spend_count = spend_count + excluded.spend_count,
        spent_amount = spent_amount + excluded.spent_amount;
END;

CREATE TRIGGER sub_lease_added AFTER INSERT ON sub_lease BEGIN
    INSERT INTO right_use (is_part, right_id, lent_amount, spend_count, spent_amount)
    VALUES (0, NEW.lease_id, (NEW.state = 'open') * NEW.amount,
        (NEW.state = 'closed') * NEW.spend_count, (NEW.state = 'closed') * NEW.spent_amount)
    ON CONFLICT DO UPDATE SET lent_amount = lent_amount + excluded.lent_amount,
        spend_count = spend_count + excluded.spend_count,
        spent_amount = spent_amount + excluded.spent_amount;
END;

CREATE TRIGGER sub_lease_forgotten AFTER DELETE ON sub_lease BEGIN
    UPDATE right_use SET lent_amount = lent_amount - (OLD.state = 'open') * OLD.amount,
        spend_count = spend_count - (OLD.state = 'closed') * OLD.spend_count,
        spent_amount = spent_amount - (OLD.state = 'closed') * OLD.spent_amount
    WHERE is_part = 0 AND right_id = OLD.lease_id;
END;

CREATE TRIGGER sub_lease_changed AFTER UPDATE ON sub_lease BEGIN
    UPDATE right_use SET
        lent_amount = lent_amount
            - (OLD.state = 'open') * OLD.amount + (NEW.state = 'open') * NEW.amount,
        spend_count = spend_count
            - (OLD.state = 'closed') * OLD.spend_count + (NEW.state = 'closed') * NEW.spend_count,
        spent_amount = spent_amount
            - (OLD.state = 'closed') * OLD.spent_amount + (NEW.state = 'closed') * NEW.spent_amount
    WHERE is_part = 0 AND right_id = NEW.lease_id;
END;

-- right_use_told: what the rows themselves add up to; right_use has to be equal to it.
CREATE VIEW right_use_told AS
SELECT is_part, right_id, sum(held) AS held_amount, sum(count) AS spend_count,
    sum(spent) AS spent_amount, sum(lent) AS lent_amount
FROM (
    SELECT p.sub_lease_id IS NOT NULL AS is_part, coalesce(p.sub_lease_id, p.lease_id) AS right_id,
        (h.state = 'held') * p.amount AS held, h.state = 'captured' AS count,
        (h.state = 'captured') * p.amount AS spent, 0 AS lent
    FROM hold_part p JOIN hold h ON h.uid = p.uid WHERE p.lease_id IS NOT NULL
    UNION ALL
    SELECT 0, lease_id, 0, (state = 'closed') * spend_count, (state = 'closed') * spent_amount,
        (state = 'open') * amount
    FROM sub_lease
) GROUP BY is_part, right_id;

CREATE VIEW lease_book AS
SELECT l.lease_id, l.owner, l.asset, l.edge_id, l.epoch, l.state, l.spend_until_ms, l.granted,
    coalesce(u.held_amount, 0) AS held, coalesce(u.spent_amount, 0) AS spent_amount,
    coalesce(u.spend_count, 0) AS spend_count, coalesce(u.lent_amount, 0) AS lent,
    EXISTS (SELECT 1 FROM lease_end e WHERE e.lease_id = l.lease_id) AS ended
FROM lease l LEFT JOIN right_use u ON u.is_part = 0 AND u.right_id = l.lease_id;

INSERT INTO right_use (is_part, right_id, held_amount, spend_count, spent_amount, lent_amount)
SELECT is_part, right_id, held_amount, spend_count, spent_amount, lent_amount FROM right_use_told;
