-- Holds, spends and closes of leases; parts of leases at tills; the shop's own network.

-- What was set aside of leases for a receipt, and became a spend or was given back. A hold is never
-- removed by time: it is held until the till's word is known. A voided one without parts is the
-- tombstone of a hold that may still be on its way. Amounts are in the asset's unit.

CREATE TABLE hold (
    uid BLOB PRIMARY KEY CHECK (length(uid) = 16),
    state TEXT NOT NULL CHECK (state IN ('held', 'captured', 'voided')),
    receipt_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    asset TEXT NOT NULL,
    asker INTEGER NOT NULL,
    held_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_by_receipt ON hold (receipt_id);
CREATE INDEX hold_by_owner ON hold (owner, asset, held_at_ms);

CREATE TABLE hold_part (
    uid BLOB NOT NULL REFERENCES hold (uid),
    part INTEGER NOT NULL CHECK (part >= 0),
    lease_id TEXT,
    sub_lease_id TEXT,
    amount INTEGER NOT NULL CHECK (amount > 0),
    spend_uid BLOB NOT NULL UNIQUE CHECK (length(spend_uid) = 16),
    PRIMARY KEY (uid, part)
) STRICT, WITHOUT ROWID;
CREATE INDEX hold_part_by_lease ON hold_part (lease_id, sub_lease_id);
CREATE INDEX hold_part_by_sub_lease ON hold_part (sub_lease_id);

-- Leases that this agent will never spend on again.
CREATE TABLE lease_end (
    lease_id TEXT PRIMARY KEY,
    spend_count INTEGER NOT NULL,
    spent_amount INTEGER NOT NULL,
    ended_at_ms INTEGER NOT NULL
) STRICT;

-- Parts of this hub's leases that tills have, or had.
CREATE TABLE sub_lease (
    sub_lease_id TEXT PRIMARY KEY,
    lease_id TEXT NOT NULL,
    till_edge_id INTEGER NOT NULL,
    owner TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    spend_until_ms INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('open', 'closed')),
    spend_count INTEGER NOT NULL DEFAULT 0,
    spent_amount INTEGER NOT NULL DEFAULT 0 CHECK (spent_amount >= 0)
) STRICT;
CREATE INDEX sub_lease_by_lease ON sub_lease (lease_id);

-- Parts of a hub's leases that this till has, or had.
CREATE TABLE own_sub_lease (
    sub_lease_id TEXT PRIMARY KEY,
    lease_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    spend_until_ms INTEGER NOT NULL,
    hub_edge_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('asked', 'open', 'returning', 'closed')),
    spend_count INTEGER NOT NULL DEFAULT 0,
    spent_amount INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE INDEX own_sub_lease_by_owner ON own_sub_lease (owner, asset);

-- What this till asked its hub to set aside. ``told``: the hub has confirmed how it ended.
CREATE TABLE token (
    uid BLOB PRIMARY KEY CHECK (length(uid) = 16),
    state TEXT NOT NULL CHECK (state IN ('asked', 'granted', 'refused', 'captured', 'voided')),
    doubtful INTEGER NOT NULL DEFAULT 0,
    receipt_id TEXT NOT NULL,
    owner TEXT NOT NULL,
    asset TEXT NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    parts BLOB,
    hub_edge_id INTEGER NOT NULL,
    told INTEGER NOT NULL DEFAULT 0,
    asked_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX token_by_receipt ON token (receipt_id);
CREATE INDEX token_untold ON token (told, asked_at_ms);

CREATE VIEW lease_book AS
SELECT l.lease_id, l.owner, l.asset, l.edge_id, l.epoch, l.state, l.spend_until_ms, l.granted,
    coalesce((SELECT sum(p.amount) FROM hold_part p JOIN hold h ON h.uid = p.uid
        WHERE p.lease_id = l.lease_id AND p.sub_lease_id IS NULL AND h.state = 'held'), 0) AS held,
    coalesce((SELECT sum(p.amount) FROM hold_part p JOIN hold h ON h.uid = p.uid
        WHERE p.lease_id = l.lease_id AND p.sub_lease_id IS NULL AND h.state = 'captured'), 0)
    + coalesce((SELECT sum(s.spent_amount) FROM sub_lease s
        WHERE s.lease_id = l.lease_id AND s.state = 'closed'), 0) AS spent_amount,
    (SELECT count(*) FROM hold_part p JOIN hold h ON h.uid = p.uid
        WHERE p.lease_id = l.lease_id AND p.sub_lease_id IS NULL AND h.state = 'captured')
    + coalesce((SELECT sum(s.spend_count) FROM sub_lease s
        WHERE s.lease_id = l.lease_id AND s.state = 'closed'), 0) AS spend_count,
    coalesce((SELECT sum(s.amount) FROM sub_lease s
        WHERE s.lease_id = l.lease_id AND s.state = 'open'), 0) AS lent,
    EXISTS (SELECT 1 FROM lease_end e WHERE e.lease_id = l.lease_id) AS ended
FROM lease l;

-- The agents of this store, as central knows them.
CREATE TABLE peer (
    edge_id INTEGER PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;

-- Batches of tills on their way through this hub, as the bytes they came in.
CREATE TABLE relay (
    edge_id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    first_seq INTEGER NOT NULL,
    last_seq INTEGER NOT NULL,
    last_hash BLOB NOT NULL,
    batch BLOB NOT NULL,
    received_at_ms INTEGER NOT NULL,
    PRIMARY KEY (edge_id, lane, epoch, first_seq, last_seq, last_hash)
) STRICT;

-- What central said last of a till's stream, for the till to fetch.
CREATE TABLE relay_answer (
    edge_id INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('ack', 'refusal')),
    answer BLOB NOT NULL,
    told_at_ms INTEGER NOT NULL,
    PRIMARY KEY (edge_id, lane, epoch)
) STRICT, WITHOUT ROWID;

-- Points that sales of the first release took: they had no record of their own.
INSERT INTO hold (uid, state, receipt_id, owner, asset, asker, held_at_ms)
SELECT r.record_uid, 'captured', r.receipt_id, coalesce(max(l.owner), ''),
       coalesce(max(l.asset), ''), 0, r.recorded_at_ms
FROM lease_use u JOIN receipt r ON r.receipt_id = u.receipt_id
LEFT JOIN lease l ON l.lease_id = u.lease_id
GROUP BY r.receipt_id;
INSERT INTO hold_part (uid, part, lease_id, sub_lease_id, amount, spend_uid)
SELECT r.record_uid, row_number() OVER (PARTITION BY u.receipt_id ORDER BY u.lease_id) - 1,
       u.lease_id, NULL, u.points_centi, randomblob(16)
FROM lease_use u JOIN receipt r ON r.receipt_id = u.receipt_id;
DROP TABLE lease_use;
