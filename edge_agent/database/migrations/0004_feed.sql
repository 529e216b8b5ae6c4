-- Checkpoints, sums and snapshots of the feed. What is known of its keys has no hash yet, and the
-- cursor is of another form: the agent begins with a snapshot, and serves what it has meanwhile.

DROP TABLE feed;
CREATE TABLE feed (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    cursor TEXT NOT NULL,
    reading TEXT NOT NULL DEFAULT '',
    rebuilding INTEGER NOT NULL DEFAULT 0 CHECK (rebuilding IN (0, 1))
) STRICT;

CREATE TABLE feed_key_new (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    hash BLOB NOT NULL CHECK (length(hash) IN (0, 16)),
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;
INSERT INTO feed_key_new (topic, key, version, hash) SELECT topic, key, version, x'' FROM feed_key;
DROP TABLE feed_key;
ALTER TABLE feed_key_new RENAME TO feed_key;

CREATE TABLE feed_sum (
    topic TEXT PRIMARY KEY,
    total BLOB NOT NULL CHECK (length(total) = 16),
    entries INTEGER NOT NULL CHECK (entries >= 0)
) STRICT;

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
