-- The shop's database, version 1. Money in minor units, points in hundredths, instants in ms.

CREATE TABLE stream (
    lane INTEGER PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    genesis BLOB NOT NULL CHECK (length(genesis) = 32),
    acked_seq INTEGER NOT NULL DEFAULT 0 CHECK (acked_seq BETWEEN 0 AND seq)
) STRICT;

CREATE TABLE outbox (
    lane INTEGER NOT NULL REFERENCES stream (lane),
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL CHECK (seq > 0),
    uid BLOB NOT NULL UNIQUE CHECK (length(uid) = 16),
    recorded_at_ms INTEGER NOT NULL,
    record BLOB NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (lane, epoch, seq)
) STRICT, WITHOUT ROWID;
