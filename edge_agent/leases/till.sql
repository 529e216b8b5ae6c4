-- insert_token --
-- The hub is about to be asked; written before the question leaves.
INSERT INTO token (uid, state, receipt_id, owner, asset, amount, hub_edge_id, asked_at_ms)
VALUES (:uid, 'asked', :receipt_id, :owner, :asset, :amount, :hub_edge_id, :asked_at_ms);

-- token --
-- One promise asked for.
SELECT uid, state, doubtful, receipt_id, owner, asset, amount, parts, hub_edge_id FROM token
WHERE uid = :uid;

-- set_token --
-- How it stands now; what a hub has to be told is untold again.
UPDATE token SET state = :state, parts = coalesce(:parts, parts), told = :told,
    doubtful = max(doubtful, :doubtful)
WHERE uid = :uid;

-- tokens_of_receipt --
-- Promises asked for one receipt.
SELECT uid, state, doubtful, receipt_id, owner, asset, amount, parts, hub_edge_id FROM token
WHERE receipt_id = :receipt_id ORDER BY asked_at_ms, uid;

-- untold_tokens --
-- How they ended, and the hub has not confirmed that it knows.
SELECT uid, state, doubtful, receipt_id, owner, asset, amount, parts, hub_edge_id FROM token
WHERE told = 0 AND state IN ('captured', 'voided') AND hub_edge_id = :hub_edge_id
ORDER BY asked_at_ms, uid LIMIT :limit;

-- stale_tokens --
-- In this state since before this moment, and nobody came for them.
SELECT uid, state, doubtful, receipt_id, owner, asset, amount, parts, hub_edge_id FROM token
WHERE told = 0 AND state = :state AND asked_at_ms < :before_ms
ORDER BY asked_at_ms, uid LIMIT :limit;

-- ask_own_part --
-- The hub is about to be asked for a part of a lease.
INSERT INTO own_sub_lease (sub_lease_id, lease_id, owner, asset, amount, spend_until_ms,
    hub_edge_id, epoch, state)
VALUES (:sub_lease_id, '', :owner, :asset, :amount, 0, :hub_edge_id, :epoch, 'asked');

-- asked_own_parts --
-- Parts asked of this hub, whose answer was not noted.
SELECT sub_lease_id, owner, asset, amount FROM own_sub_lease
WHERE state = 'asked' AND hub_edge_id = :hub_edge_id ORDER BY sub_lease_id LIMIT :limit;

-- open_own_part --
-- The hub gave it.
UPDATE own_sub_lease SET state = 'open', lease_id = :lease_id, amount = :amount,
    spend_until_ms = :spend_until_ms
WHERE sub_lease_id = :sub_lease_id AND state = 'asked';

-- forget_own_part --
-- The hub gave none.
DELETE FROM own_sub_lease WHERE sub_lease_id = :sub_lease_id AND state = 'asked';

-- count_own_parts --
-- How many parts are open, and whether this asset has one.
SELECT count(*), coalesce(max(owner = :owner AND asset = :asset), 0) FROM own_sub_lease
WHERE state IN ('asked', 'open');

-- own_parts_over --
-- Open parts whose time is over, or which were given in an older epoch.
SELECT sub_lease_id FROM own_sub_lease
WHERE state = 'open' AND (spend_until_ms <= :now_ms OR epoch <> :epoch)
ORDER BY sub_lease_id LIMIT :limit;

-- lapse_own_parts --
-- Their time is over at once.
UPDATE own_sub_lease SET spend_until_ms = 0 WHERE state = 'open';

-- own_part_use --
-- What became of a part: what is held of it, how many spends there were and their sum.
SELECT s.state, coalesce(u.held_amount, 0), coalesce(u.spend_count, 0), coalesce(u.spent_amount, 0)
FROM own_sub_lease s LEFT JOIN right_use u ON u.is_part = 1 AND u.right_id = s.sub_lease_id
WHERE s.sub_lease_id = :sub_lease_id;

-- set_own_part --
-- It is on its way back, or back.
UPDATE own_sub_lease SET state = :state, spend_count = :spend_count, spent_amount = :spent_amount
WHERE sub_lease_id = :sub_lease_id;

-- own_parts_returning --
-- Parts that the hub has not confirmed to have back.
SELECT sub_lease_id, lease_id, hub_edge_id, spend_count, spent_amount, epoch FROM own_sub_lease
WHERE state = 'returning' AND hub_edge_id = :hub_edge_id ORDER BY sub_lease_id LIMIT :limit;

-- close_own_part --
-- The hub has it back.
UPDATE own_sub_lease SET state = 'closed' WHERE sub_lease_id = :sub_lease_id;

-- forget_tokens --
-- Long ago, and the hub knows how they ended.
DELETE FROM token WHERE told = 1 AND asked_at_ms < :before_ms;

-- forget_own_parts --
-- Parts that went back long ago, and that no hold names any more.
DELETE FROM own_sub_lease WHERE state = 'closed' AND spend_until_ms < :before_ms
    AND NOT EXISTS (SELECT 1 FROM hold_part p WHERE p.sub_lease_id = own_sub_lease.sub_lease_id);
