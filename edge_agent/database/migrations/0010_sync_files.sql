-- Head office's key for files that are carried by hand, and what the last answer said.
CREATE TABLE carried (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    central_key BLOB NOT NULL DEFAULT x'' CHECK (length(central_key) IN (0, 32)),
    heads BLOB NOT NULL DEFAULT x'',
    whole INTEGER NOT NULL DEFAULT 0 CHECK (whole IN (0, 1))
) STRICT;

-- Files that went to head office, whose answers may come back.
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
