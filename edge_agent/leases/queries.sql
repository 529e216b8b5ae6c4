-- books_of_owner --
-- The leases on one owner's asset, with all that was done with them.
SELECT lease_id, owner, asset, edge_id, epoch, state, spend_until_ms, granted, held, spend_count,
       spent_amount, lent, ended
FROM lease_book WHERE owner = :owner AND asset = :asset ORDER BY spend_until_ms, lease_id;

-- book --
-- One lease with all that was done with it.
SELECT lease_id, owner, asset, edge_id, epoch, state, spend_until_ms, granted, held, spend_count,
       spent_amount, lent, ended
FROM lease_book WHERE lease_id = :lease_id;

-- books_due --
-- Leases of this agent that central wants back, or whose time is over, and that nobody uses.
SELECT lease_id, owner, asset, edge_id, epoch, state, spend_until_ms, granted, held, spend_count,
       spent_amount, lent, ended
FROM lease_book
WHERE edge_id = :edge_id AND epoch = :epoch
  AND (state = 'recalled' OR (state = 'open' AND spend_until_ms <= :now_ms))
  AND NOT ended AND held = 0 AND lent = 0
ORDER BY spend_until_ms, lease_id LIMIT :limit;

-- assets_of_owner --
-- Which assets of an owner this agent has leases or parts of leases on.
SELECT asset FROM lease WHERE owner = :owner
UNION SELECT asset FROM own_sub_lease WHERE owner = :owner
ORDER BY asset;

-- own_parts_of_owner --
-- The parts of a hub's leases that this till has on one owner's asset, and what is left of them.
SELECT s.sub_lease_id, s.lease_id, s.owner, s.asset, s.epoch, s.state, s.spend_until_ms,
    s.amount - coalesce(u.held_amount + u.spent_amount, 0)
FROM own_sub_lease s LEFT JOIN right_use u ON u.is_part = 1 AND u.right_id = s.sub_lease_id
WHERE s.owner = :owner AND s.asset = :asset AND s.state = 'open'
ORDER BY s.spend_until_ms, s.sub_lease_id;

-- hold --
-- What is known of one hold.
SELECT state, receipt_id, owner, asset, asker FROM hold WHERE uid = :uid;

-- parts --
-- What pays for it.
SELECT lease_id, sub_lease_id, amount, spend_uid FROM hold_part WHERE uid = :uid ORDER BY part;

-- insert_hold --
-- Something was set aside, or a tombstone stands where it would have been.
INSERT INTO hold (uid, state, receipt_id, owner, asset, asker, held_at_ms)
VALUES (:uid, :state, :receipt_id, :owner, :asset, :asker, :held_at_ms);

-- insert_part --
-- One lease's share.
INSERT INTO hold_part (uid, part, lease_id, sub_lease_id, amount, spend_uid)
VALUES (:uid, :part, :lease_id, :sub_lease_id, :amount, :spend_uid);

-- set_hold_state --
-- It became a spend, or was taken back.
UPDATE hold SET state = :state WHERE uid = :uid;

-- taken --
-- What the caps count.
SELECT
    (SELECT coalesce(sum(p.amount), 0) FROM hold h JOIN hold_part p ON p.uid = h.uid
     WHERE h.receipt_id = :receipt_id AND +h.owner = :owner AND +h.asset = :asset
       AND h.state IN ('held', 'captured')),
    (SELECT coalesce(sum(p.amount), 0) FROM hold h JOIN hold_part p ON p.uid = h.uid
     WHERE h.owner = :owner AND h.asset = :asset AND h.held_at_ms > :since_ms
       AND h.state IN ('held', 'captured'));

-- open_holds_of_receipt --
-- What was set aside here for a receipt and is not decided.
SELECT uid FROM hold WHERE receipt_id = :receipt_id AND state = 'held' ORDER BY held_at_ms, uid;

-- hold_of_spend --
-- The hold that a spend belongs to.
SELECT uid FROM hold_part WHERE spend_uid = :spend_uid;

-- open_holds_since_before --
-- Undecided holds of this agent's own tills that are older than this.
SELECT h.uid, h.receipt_id FROM hold h
WHERE h.state = 'held' AND h.asker = :asker AND h.held_at_ms < :before_ms
ORDER BY h.held_at_ms, h.uid LIMIT :limit;

-- any_part_ended --
-- Whether a lease of the hold was closed, or the till's part of it given back.
SELECT 1 FROM hold_part p
LEFT JOIN lease_end e ON e.lease_id = p.lease_id AND p.sub_lease_id IS NULL
LEFT JOIN own_sub_lease s ON s.sub_lease_id = p.sub_lease_id AND s.state <> 'open'
WHERE p.uid = :uid AND (e.lease_id IS NOT NULL OR s.sub_lease_id IS NOT NULL) LIMIT 1;

-- end_lease --
-- This agent will never spend on the lease again.
INSERT INTO lease_end (lease_id, spend_count, spent_amount, ended_at_ms)
VALUES (:lease_id, :spend_count, :spent_amount, :ended_at_ms);

-- end_lease_again --
-- The same, from the second journal; an end that is here stays.
INSERT INTO lease_end (lease_id, spend_count, spent_amount, ended_at_ms)
VALUES (:lease_id, :spend_count, :spent_amount, :ended_at_ms)
ON CONFLICT (lease_id) DO NOTHING;

-- sub_lease --
-- One part that was lent to a till.
SELECT lease_id, till_edge_id, amount, spend_until_ms, state FROM sub_lease
WHERE sub_lease_id = :sub_lease_id;

-- insert_sub_lease --
-- A part of a lease is lent to a till.
INSERT INTO sub_lease
    (sub_lease_id, lease_id, till_edge_id, owner, asset, amount, spend_until_ms, state)
VALUES (:sub_lease_id, :lease_id, :till_edge_id, :owner, :asset, :amount, :spend_until_ms, 'open');

-- close_sub_lease --
-- The till gave its part back.
UPDATE sub_lease SET state = 'closed', spend_count = :spend_count, spent_amount = :spent_amount
WHERE sub_lease_id = :sub_lease_id AND state = 'open';

-- doubt_lease --
-- A part of it came back from a till that may have forgotten spends: this hub spends none of it.
INSERT INTO lease_doubt (lease_id) VALUES (:lease_id) ON CONFLICT DO NOTHING;

-- open_sub_leases_of_till --
-- How many parts a till has.
SELECT count(*) FROM sub_lease WHERE till_edge_id = :till_edge_id AND state = 'open';

-- sub_leases_wanted_back --
-- Parts that a till should give back: their lease is recalled, frozen, gone or over.
SELECT s.sub_lease_id FROM sub_lease s LEFT JOIN lease_book l ON l.lease_id = s.lease_id
WHERE s.till_edge_id = :till_edge_id AND s.state = 'open'
  AND (l.lease_id IS NULL OR l.state <> 'open' OR l.epoch <> :epoch OR s.spend_until_ms <= :now_ms)
ORDER BY s.sub_lease_id;

-- holds_past --
-- Decided holds from before this moment, of leases and parts of leases that are over for good.
SELECT h.uid FROM hold h
WHERE h.state <> 'held' AND h.held_at_ms < :before_ms AND (h.state = 'voided' OR NOT EXISTS (
    SELECT 1 FROM hold_part p
    LEFT JOIN lease_end e ON e.lease_id = p.lease_id
    LEFT JOIN own_sub_lease s ON s.sub_lease_id = p.sub_lease_id
    WHERE p.uid = h.uid AND p.lease_id IS NOT NULL AND CASE
        WHEN p.sub_lease_id IS NULL THEN e.lease_id IS NULL
        ELSE coalesce(s.state, 'closed') <> 'closed' END))
LIMIT :limit;

-- forget_parts --
-- What paid for a hold of long ago.
DELETE FROM hold_part WHERE uid = :uid;

-- forget_hold --
-- A hold of long ago.
DELETE FROM hold WHERE uid = :uid;

-- forget_sub_leases --
-- Parts that came back to leases which are over for good.
DELETE FROM sub_lease WHERE state = 'closed' AND spend_until_ms < :before_ms
    AND lease_id IN (SELECT lease_id FROM lease_end);

-- forget_unused --
-- Sums of rights with which nothing is done any more say what no row would say as well.
DELETE FROM right_use
WHERE held_amount = 0 AND spend_count = 0 AND spent_amount = 0 AND lent_amount = 0;

-- forget_lease_ends --
-- Leases that are over and that central no longer tells of.
DELETE FROM lease_end WHERE ended_at_ms < :before_ms
    AND NOT EXISTS (SELECT 1 FROM lease l WHERE l.lease_id = lease_end.lease_id)
    AND NOT EXISTS (SELECT 1 FROM hold_part p WHERE p.lease_id = lease_end.lease_id)
    AND NOT EXISTS (SELECT 1 FROM sub_lease s WHERE s.lease_id = lease_end.lease_id);
