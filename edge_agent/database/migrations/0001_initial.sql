-- The first release, as it was. Shops may still have it; it never changes.

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

CREATE TABLE receipt (
    receipt_id TEXT PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('committed', 'cancelled')),
    body_sha256 BLOB CHECK (length(body_sha256) = 32),
    record_uid BLOB UNIQUE REFERENCES outbox (uid) DEFERRABLE INITIALLY DEFERRED,
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

CREATE TABLE lease_use (
    lease_id TEXT NOT NULL,
    receipt_id TEXT NOT NULL REFERENCES receipt (receipt_id),
    points_centi INTEGER NOT NULL CHECK (points_centi > 0),
    PRIMARY KEY (lease_id, receipt_id)
) STRICT, WITHOUT ROWID;

-- What central's feed told last. An entry is kept as the bytes it came in; what is searched by has
-- its own column. feed_key remembers versions of forgotten keys too, so that none comes back.

CREATE TABLE feed (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    cursor TEXT NOT NULL
) STRICT;

CREATE TABLE feed_key (
    topic TEXT NOT NULL,
    key TEXT NOT NULL,
    version INTEGER NOT NULL,
    PRIMARY KEY (topic, key)
) STRICT, WITHOUT ROWID;

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
