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
    boot_ns INTEGER NOT NULL,
    off_ms INTEGER NOT NULL DEFAULT 86400000
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

-- Goods that came back. sale_uid: the record of the sale, of which the returns add up.

CREATE TABLE goods_return (
    return_id TEXT PRIMARY KEY,
    body_sha256 BLOB NOT NULL CHECK (length(body_sha256) = 32),
    record_uid BLOB NOT NULL UNIQUE CHECK (length(record_uid) = 16),
    sale_uid BLOB CHECK (length(sale_uid) = 16),
    fact BLOB NOT NULL,
    recorded_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX goods_return_by_sale ON goods_return (sale_uid);

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
CREATE INDEX lease_by_end ON lease (state, spend_until_ms);

-- What central's feed told last. An entry is kept as the bytes it came in; what is searched by has
-- its own column. feed_key remembers versions of forgotten keys too, so that none comes back, but
-- not those of uses.

CREATE TABLE feed (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    cursor TEXT NOT NULL,
    reading TEXT NOT NULL DEFAULT '',
    rebuilding INTEGER NOT NULL DEFAULT 0 CHECK (rebuilding IN (0, 1)),
    phase INTEGER NOT NULL DEFAULT 0 CHECK (phase BETWEEN 0 AND 3)
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

-- changes that wait for the rest of their checkpoint; chunk is the snapshot's piece they came in;
-- fate, once it is decided: 1 put, 2 gone, 3 gone with its version; mark: the hash it leaves
CREATE TABLE feed_staged (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    operation TEXT NOT NULL,
    payload BLOB NOT NULL,
    chunk INTEGER NOT NULL,
    fate INTEGER NOT NULL DEFAULT 0 CHECK (fate BETWEEN 0 AND 3),
    mark BLOB NOT NULL DEFAULT x'',
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

-- Members whom this shop made, until the feed tells of them and for a while after; owner: who it
-- became, NULL while head office has not said; phone_tag: NULL where no key was here.

CREATE TABLE newcomer (
    operation_id TEXT PRIMARY KEY,
    uid BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
    customer_id TEXT NOT NULL UNIQUE,
    owner TEXT,
    is_new INTEGER NOT NULL CHECK (is_new IN (0, 1)),
    card_taken INTEGER NOT NULL CHECK (card_taken IN (0, 1)),
    phone_end TEXT NOT NULL,
    phone_tag BLOB CHECK (length(phone_tag) = 16),
    card_tag BLOB CHECK (length(card_tag) = 16),
    registered_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX newcomer_by_phone ON newcomer (phone_tag);
CREATE INDEX newcomer_by_card ON newcomer (card_tag);

-- How often tills and cashiers looked phones up, and until when they have to wait. Instants are
-- trusted time.

CREATE TABLE look_up (
    subject TEXT PRIMARY KEY,
    asked_since_ms INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    missed_since_ms INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    blocked_until_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE balance (
    customer_id TEXT NOT NULL,
    account TEXT NOT NULL,
    available_centi INTEGER NOT NULL,
    as_of_ms INTEGER NOT NULL,
    PRIMARY KEY (customer_id, account)
) STRICT, WITHOUT ROWID;

-- Whose cards will be, and what accounts will hold, by a checkpoint that is being merged; nobody, or
-- nothing: they are forgotten.

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

-- What a till is shown of the feed: while a checkpoint is being merged (phase 1), what waits counts
-- first. Whoever only looks reads these, never the tables; a test sees to it.

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
CREATE INDEX hold_open ON hold (asker, held_at_ms) WHERE state = 'held';
CREATE INDEX hold_by_time ON hold (held_at_ms) WHERE state <> 'held';

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

-- What was done with each right, added up as it happens, so that a promise costs the same after
-- thousands of spends. is_part 0: a lease, used here and through the parts of it that tills have;
-- 1: a part of a hub's lease that this till has. Only the triggers write it: whatever statement
-- changes a hold or a part, the sums follow in the same transaction.

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

-- Leases of which this hub spends nothing any more, whatever central says of them: a part of them was
-- at a till that was put back, and may have been spent there without the till knowing.
CREATE TABLE lease_doubt (
    lease_id TEXT PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE VIEW lease_book AS
SELECT l.lease_id, l.owner, l.asset, l.edge_id, l.epoch,
    CASE WHEN l.state = 'open' AND EXISTS (SELECT 1 FROM lease_doubt d WHERE d.lease_id = l.lease_id)
        THEN 'recalled' ELSE l.state END AS state,
    l.spend_until_ms, l.granted,
    coalesce(u.held_amount, 0) AS held, coalesce(u.spent_amount, 0) AS spent_amount,
    coalesce(u.spend_count, 0) AS spend_count, coalesce(u.lent_amount, 0) AS lent,
    EXISTS (SELECT 1 FROM lease_end e WHERE e.lease_id = l.lease_id) AS ended
FROM lease l LEFT JOIN right_use u ON u.is_part = 0 AND u.right_id = l.lease_id;

-- What a customer used of a limited promotion in a period, at each edge: as central tells it, and as
-- this file's own sales did. edge_id 0: this edge; a number is who it was before it enrolled again.

CREATE TABLE told_use (
    key TEXT PRIMARY KEY,
    customer_id TEXT NOT NULL,
    promotion TEXT NOT NULL,
    measure TEXT NOT NULL,
    period TEXT NOT NULL,
    edge_id INTEGER NOT NULL,
    amount INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX told_use_by_customer ON told_use (customer_id, promotion);

CREATE TABLE own_use (
    customer_id TEXT NOT NULL,
    promotion TEXT NOT NULL,
    measure TEXT NOT NULL,
    period TEXT NOT NULL,
    edge_id INTEGER NOT NULL,
    amount INTEGER NOT NULL CHECK (amount > 0),
    last_date TEXT,
    PRIMARY KEY (customer_id, promotion, measure, period, edge_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX own_use_by_end ON own_use (last_date);

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

-- Files carried by hand: head office's key for them, its heads in the last answer (msgpack), and
-- whether the feed is to be told whole, since what is here does not add up.

CREATE TABLE carried (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    central_key BLOB NOT NULL DEFAULT x'' CHECK (length(central_key) IN (0, 32)),
    heads BLOB NOT NULL DEFAULT x'',
    whole INTEGER NOT NULL DEFAULT 0 CHECK (whole IN (0, 1))
) STRICT;

-- Files that went to head office, whose answers may come back. answer_key opens the answer; it goes
-- when the answer was taken in. told: what stood in the question that the answer is measured by.

CREATE TABLE question (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    file_id BLOB NOT NULL UNIQUE CHECK (length(file_id) = 16),
    made_at_ms INTEGER NOT NULL,
    answer_key BLOB NOT NULL CHECK (length(answer_key) IN (0, 32)),
    told BLOB NOT NULL,
    records INTEGER NOT NULL DEFAULT 0,
    size_bytes INTEGER NOT NULL DEFAULT 0,
    answered_at_ms INTEGER
) STRICT;
