-- count --
-- What one subject has asked.
SELECT asked_since_ms, asked, missed_since_ms, missed, blocks, blocked_until_ms
FROM look_up WHERE subject = :subject;

-- put_count --
-- The count as it is now.
INSERT INTO look_up (subject, asked_since_ms, asked, missed_since_ms, missed, blocks,
    blocked_until_ms)
VALUES (:subject, :asked_since_ms, :asked, :missed_since_ms, :missed, :blocks, :blocked_until_ms)
ON CONFLICT (subject) DO UPDATE SET asked_since_ms = excluded.asked_since_ms,
    asked = excluded.asked, missed_since_ms = excluded.missed_since_ms, missed = excluded.missed,
    blocks = excluded.blocks, blocked_until_ms = excluded.blocked_until_ms;

-- trim_counts --
-- Who was silent for the longest makes room; who is blocked stays as long as may be.
DELETE FROM look_up WHERE subject IN (
    SELECT subject FROM look_up
    ORDER BY blocked_until_ms DESC, asked_since_ms DESC, subject LIMIT -1 OFFSET :kept
);

-- blocked --
-- Who has to wait now.
SELECT subject, blocked_until_ms FROM look_up WHERE blocked_until_ms > :now_ms
ORDER BY blocked_until_ms DESC, subject;
