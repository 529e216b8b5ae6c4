-- integrity_check --
-- One row "ok", or what is wrong: the file, its tables, and whether the indexes agree with them.
PRAGMA integrity_check(1);

-- broken_references --
-- Rows whose reference points nowhere.
PRAGMA foreign_key_check;

-- sales --
-- How many sales are as young as the oldest record, and how many of them have none.
SELECT count(*), coalesce(sum(
    NOT EXISTS (SELECT 1 FROM outbox o WHERE o.uid = r.record_uid)
    AND NOT EXISTS (SELECT 1 FROM held h WHERE h.uid = r.record_uid)), 0)
FROM receipt r
WHERE r.state = 'committed'
AND r.recorded_at_ms > (
    SELECT coalesce(min(recorded_at_ms), 9223372036854775807) FROM outbox WHERE stream_id IN (
        SELECT stream_id FROM stream WHERE lane = 1));
