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

CREATE TABLE look_up (
    subject TEXT PRIMARY KEY,
    asked_since_ms INTEGER NOT NULL,
    asked INTEGER NOT NULL,
    missed_since_ms INTEGER NOT NULL,
    missed INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    blocked_until_ms INTEGER NOT NULL
) STRICT;
