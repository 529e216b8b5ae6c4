-- The shop's database. Money in minor units, points in hundredths, instants in ms.
--
-- This file is what a new database gets. Whoever changes it adds, in the same commit, the next
-- migrations/NNNN_subject.sql with the statements that make a database of the version before into
-- this one; the version is the number of the last migration. A test holds the two together, and
-- another runs the migrations over a database of the first release with data in it.

-- Chained records. A stream is (edge, lane, epoch); edge_id NULL is this edge, a number is who it
-- was before it enrolled again. Records up to pruned_seq are no longer kept; pruned_hash is the
-- chain's hash there. current: where the lane's next record goes.

CREATE TABLE stream (
    stream_id INTEGER PRIMARY KEY,
    edge_id INTEGER,
    lane INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    current INTEGER NOT NULL DEFAULT 1 CHECK (current IN (0, 1)),
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    genesis BLOB NOT NULL CHECK (length(genesis) = 32),
    acked_seq INTEGER NOT NULL DEFAULT 0 CHECK (acked_seq BETWEEN 0 AND seq),
    pruned_seq INTEGER NOT NULL DEFAULT 0 CHECK (pruned_seq BETWEEN 0 AND acked_seq),
    pruned_hash BLOB NOT NULL CHECK (length(pruned_hash) = 32)
) STRICT;
CREATE UNIQUE INDEX stream_current ON stream (lane) WHERE current = 1;
CREATE UNIQUE INDEX stream_name ON stream (coalesce(edge_id, 0), lane, epoch);

-- local: what only this shop needs of a fact (of a sale, the hash of the till's body); never sent.

CREATE TABLE outbox (
    stream_id INTEGER NOT NULL REFERENCES stream (stream_id),
    seq INTEGER NOT NULL CHECK (seq > 0),
    uid BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
    recorded_at_ms INTEGER NOT NULL,
    record BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    local BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;

-- Facts that have no number yet: all of them while recovery lasts, and telemetry until it is sent.

CREATE TABLE held (
    held_id INTEGER PRIMARY KEY AUTOINCREMENT,
    lane INTEGER NOT NULL,
    uid BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
    recorded_at_ms INTEGER NOT NULL,
    kind TEXT NOT NULL,
    body BLOB NOT NULL,
    local BLOB NOT NULL
) STRICT;
CREATE INDEX held_by_lane ON held (lane, held_id);

-- One row while this database may lack what was recorded: nothing is numbered, nothing is spent.

CREATE TABLE recovery (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    reason TEXT NOT NULL,
    recovery_id BLOB NOT NULL CHECK (length(recovery_id) = 16),
    since_ms INTEGER NOT NULL
) STRICT;

-- Trusted time never goes below the floor; boot_ns is the boot clock of boot_id at that moment.

CREATE TABLE clock_floor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    floor_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    boot_ns INTEGER NOT NULL
) STRICT;

CREATE TABLE receipt (
    receipt_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('committed', 'cancelled')),
    body_sha256 BLOB CHECK (length(body_sha256) = 32),
    record_uid BLOB UNIQUE,
    fact BLOB,
    recorded_at_ms INTEGER NOT NULL,
    CHECK ((state = 'committed') = (fact IS NOT NULL)),
    CHECK ((state = 'committed') = (body_sha256 IS NOT NULL)),
    CHECK ((state = 'committed') = (record_uid IS NOT NULL))
) STRICT;

CREATE TABLE lease (
    lease_id TEXT PRIMARY KEY,
    owner TEXT NOT NULL,
    asset TEXT NOT NULL,
    granted INTEGER NOT NULL CHECK (granted >= 0),
    spend_until_ms INTEGER NOT NULL,
    state TEXT NOT NULL,
    edge_id INTEGER NOT NULL,
    epoch INTEGER NOT NULL,
    version INTEGER NOT NULL
) STRICT;
CREATE INDEX lease_by_owner ON lease (owner, asset);

-- What central's feed told last. An entry is kept as the bytes it came in; what is searched by has
-- its own column. feed_key remembers versions of forgotten keys too, so that none comes back.

CREATE TABLE feed (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    cursor TEXT NOT NULL,
    reading TEXT NOT NULL DEFAULT '',
    rebuilding INTEGER NOT NULL DEFAULT 0 CHECK (rebuilding IN (0, 1))
) STRICT;

-- the hash is that of the entry as it came; empty for a forgotten key
CREATE TABLE feed_key (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) IN (0, 16)),
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE feed_sum (
    topic TEXT PRIMARY KEY,
    total BLOB NOT NULL CHECK (length(total) = 16),
    entries INTEGER NOT NULL CHECK (entries >= 0)
) STRICT;

-- changes that wait for the rest of their checkpoint; chunk is the snapshot's piece they came in
CREATE TABLE feed_staged (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    operation TEXT NOT NULL,
    payload BLOB NOT NULL,
    chunk INTEGER NOT NULL,
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE feed_chunk (
    number INTEGER PRIMARY KEY,
    sha256 BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    size_bytes INTEGER NOT NULL,
    raw_bytes INTEGER NOT NULL,
    staged INTEGER NOT NULL CHECK (staged IN (0, 1))
) STRICT;

CREATE TABLE wanted_bundle (
    key TEXT PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;

CREATE TABLE store (
    store_id TEXT PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;

CREATE TABLE product (
    sku TEXT PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;

CREATE TABLE coupon (
    code TEXT PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;

CREATE TABLE customer (
    customer_id TEXT PRIMARY KEY,
    entry BLOB NOT NULL
) STRICT;

CREATE TABLE card (
    card_tag BLOB PRIMARY KEY,
    customer_id TEXT NOT NULL REFERENCES customer (customer_id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;
CREATE INDEX card_by_customer ON card (customer_id);

CREATE TABLE balance (
    customer_id TEXT NOT NULL,
    account TEXT NOT NULL,
    available_centi INTEGER NOT NULL,
    as_of_ms INTEGER NOT NULL,
    PRIMARY KEY (customer_id, account)
) STRICT, WITHOUT ROWID;

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
