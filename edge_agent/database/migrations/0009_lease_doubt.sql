-- Leases of which this hub spends nothing any more, whatever central says of them: a part of them was
-- at a till that was put back, and may have been spent there without the till knowing.
CREATE TABLE lease_doubt (
    lease_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

DROP VIEW lease_book;
CREATE VIEW lease_book AS
SELECT l.lease_id, l.owner, l.asset, l.edge_id, l.epoch,
    CASE WHEN l.state = 'open' AND EXISTS (SELECT 1 FROM lease_doubt d WHERE d.lease_id = l.lease_id)
        THEN 'recalled' ELSE l.state END AS state,
    l.spend_until_ms, l.granted,
    coalesce(u.held_amount, 0) AS held, coalesce(u.spent_amount, 0) AS spent_amount,
    coalesce(u.spend_count, 0) AS spend_count, coalesce(u.lent_amount, 0) AS lent,
    EXISTS (SELECT 1 FROM lease_end e WHERE e.lease_id = l.lease_id) AS ended
FROM lease l LEFT JOIN right_use u ON u.is_part = 0 AND u.right_id = l.lease_id;
