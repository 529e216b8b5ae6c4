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
