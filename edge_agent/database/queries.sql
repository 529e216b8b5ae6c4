-- journal_wal --
-- Readers never wait for the writer.
PRAGMA journal_mode = wal;

-- synchronous_full --
-- What was answered survives a power cut.
PRAGMA synchronous = full;

-- log_limit --
-- The log gives its room back when it is begun anew (shared/limits.py, LOG_BYTES_MAX).
PRAGMA journal_size_limit = 67108864;

-- secure_delete --
-- What is deleted is overwritten: a person who is erased leaves nothing in free pages.
PRAGMA secure_delete = on;

-- foreign_keys --
-- References are checked.
PRAGMA foreign_keys = on;

-- trusted_schema --
-- A schema somebody changed may not call functions of ours.
PRAGMA trusted_schema = off;

-- cell_size_check --
-- Damaged pages are noticed when read.
PRAGMA cell_size_check = on;

-- temp_in_memory --
-- Sorting needs no room on a disk: one that is full must not make a good file look bad.
PRAGMA temp_store = memory;

-- query_only --
-- A reader's connection cannot write.
PRAGMA query_only = on;

-- foreign_key_check --
-- Rows whose reference points nowhere.
PRAGMA foreign_key_check;

-- quick_check --
-- One row "ok", or what is wrong with the file.
PRAGMA quick_check(1);

-- structure --
-- Every table and view with its columns.
SELECT m.type, m.name, c.cid, c.name, c.type, c."notnull", c.pk
FROM sqlite_schema m JOIN pragma_table_xinfo(m.name) c
WHERE m.type IN ('table', 'view') AND m.name NOT LIKE 'sqlite_stat%'
ORDER BY m.name, c.cid;

-- indexes --
-- Every index and trigger.
SELECT name, tbl_name FROM sqlite_schema WHERE type IN ('index', 'trigger') ORDER BY name;

-- miscounted --
-- Whether a sum of right_use is not what the rows say that it adds up; a row of nothing is none.
SELECT EXISTS (
    SELECT is_part, right_id, held_amount, spend_count, spent_amount, lent_amount FROM right_use
    WHERE held_amount OR spend_count OR spent_amount OR lent_amount
    EXCEPT SELECT * FROM right_use_told
) OR EXISTS (
    SELECT * FROM right_use_told WHERE held_amount OR spend_count OR spent_amount OR lent_amount
    EXCEPT
    SELECT is_part, right_id, held_amount, spend_count, spent_amount, lent_amount FROM right_use
);

-- vacuum_into --
-- A compact copy of the whole database.
VACUUM INTO :path;

-- begin --
-- The write lock is taken at once, so that a transaction never fails half way for want of it.
BEGIN IMMEDIATE;

-- begin_read --
-- What is read from here on is of one moment.
BEGIN;

-- checkpoint_waits --
-- Whether a checkpoint is shown that is not yet in its places.
SELECT EXISTS (SELECT 1 FROM feed WHERE phase = 1);

-- commit --
-- Returns when the log is on the medium.
COMMIT;

-- rollback --
-- Forget the transaction.
ROLLBACK;

-- savepoint --
-- One job of a group.
SAVEPOINT job;

-- release --
-- The job stays in the group.
RELEASE job;

-- rollback_job --
-- The job failed: undo it, keep its neighbours.
ROLLBACK TO job;
