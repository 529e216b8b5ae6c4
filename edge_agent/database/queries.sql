-- journal_wal --
-- Readers never wait for the writer.
PRAGMA journal_mode = wal;

-- synchronous_full --
-- What was answered survives a power cut.
PRAGMA synchronous = full;

-- foreign_keys --
-- References are checked.
PRAGMA foreign_keys = on;

-- trusted_schema --
-- A schema somebody changed may not call functions of ours.
PRAGMA trusted_schema = off;

-- cell_size_check --
-- Damaged pages are noticed when read.
PRAGMA cell_size_check = on;

-- query_only --
-- A reader's connection cannot write.
PRAGMA query_only = on;

-- application_id_get --
-- Whose file this is; 0 for a new one.
PRAGMA application_id;

-- application_id_set --
-- 0x4B4F5049, "KOPI".
PRAGMA application_id = 1263489097;

-- version_get --
-- The schema version of the file.
PRAGMA user_version;

-- version_set_1 --
-- Schema version 1.
PRAGMA user_version = 1;

-- begin --
-- The write lock is taken at once, so that a transaction never fails half way for want of it.
BEGIN IMMEDIATE;

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
