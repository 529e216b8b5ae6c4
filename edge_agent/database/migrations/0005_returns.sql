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

