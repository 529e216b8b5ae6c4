-- Streams of several epochs side by side, facts that wait for a number, recovery, trusted time.

CREATE TABLE stream_new (
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
INSERT INTO stream_new (stream_id, lane, epoch, seq, hash, genesis, acked_seq, pruned_hash)
SELECT lane + 1, lane, epoch, seq, hash, genesis, acked_seq, genesis FROM stream;

CREATE TABLE outbox_new (
    stream_id INTEGER NOT NULL REFERENCES stream (stream_id),
    seq INTEGER NOT NULL CHECK (seq > 0),
    uid BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
    recorded_at_ms INTEGER NOT NULL,
    record BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    local BLOB NOT NULL DEFAULT x'',
    PRIMARY KEY (stream_id, seq)
) STRICT, WITHOUT ROWID;
INSERT INTO outbox_new (stream_id, seq, uid, recorded_at_ms, record, hash, local)
SELECT o.lane + 1, o.seq, o.uid, o.recorded_at_ms, o.record, o.hash, coalesce(r.body_sha256, x'')
FROM outbox o LEFT JOIN receipt r ON r.record_uid = o.uid;

CREATE TABLE receipt_new (
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
INSERT INTO receipt_new (receipt_id, state, body_sha256, record_uid, fact, recorded_at_ms)
SELECT receipt_id, state, body_sha256, record_uid, fact, recorded_at_ms FROM receipt;

DROP TABLE receipt;
DROP TABLE outbox;
DROP TABLE stream;
ALTER TABLE stream_new RENAME TO stream;
ALTER TABLE outbox_new RENAME TO outbox;
ALTER TABLE receipt_new RENAME TO receipt;
CREATE UNIQUE INDEX stream_current ON stream (lane) WHERE current = 1;
CREATE UNIQUE INDEX stream_name ON stream (coalesce(edge_id, 0), lane, epoch);

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

CREATE TABLE recovery (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    reason TEXT NOT NULL,
    recovery_id BLOB NOT NULL CHECK (length(recovery_id) = 16),
    since_ms INTEGER NOT NULL
) STRICT;

CREATE TABLE clock_floor (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    floor_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    boot_ns INTEGER NOT NULL
) STRICT;
