-- put_peer --
-- An agent of this store.
INSERT INTO peer (edge_id, entry) VALUES (:edge_id, :entry)
ON CONFLICT (edge_id) DO UPDATE SET entry = excluded.entry;

-- forget_peer --
-- It is none any more.
DELETE FROM peer WHERE edge_id = :edge_id;

-- peer --
-- One agent of this store.
SELECT entry FROM peer WHERE edge_id = :edge_id;

-- peers --
-- All agents of this store, the one enrolled last first.
SELECT entry FROM peer ORDER BY edge_id DESC;

-- relayed_bytes --
-- What waits for central: of one till, and of all.
SELECT coalesce(sum(CASE WHEN edge_id = :edge_id THEN length(batch) END), 0),
       coalesce(sum(length(batch)), 0)
FROM relay;

-- supersede --
-- The till sends the same records again, with more behind them.
DELETE FROM relay WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch
    AND first_seq >= :first_seq AND last_seq < :last_seq;

-- put_relayed --
-- Keep a batch; the same one again changes nothing.
INSERT INTO relay (edge_id, lane, epoch, first_seq, last_seq, last_hash, batch, received_at_ms)
VALUES (:edge_id, :lane, :epoch, :first_seq, :last_seq, :last_hash, :batch, :received_at_ms)
ON CONFLICT DO NOTHING
RETURNING 1;

-- forget_refusal --
-- The till sends on after a refusal; the old one says nothing about what comes now.
DELETE FROM relay_answer
WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch AND kind = 'refusal';

-- answer --
-- What central said last of a stream.
SELECT kind, answer FROM relay_answer
WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch;

-- put_answer --
-- Central said something.
INSERT INTO relay_answer (edge_id, lane, epoch, kind, answer, told_at_ms)
VALUES (:edge_id, :lane, :epoch, :kind, :answer, :told_at_ms)
ON CONFLICT (edge_id, lane, epoch) DO UPDATE SET
    kind = excluded.kind, answer = excluded.answer, told_at_ms = excluded.told_at_ms;

-- streams_waiting --
-- Streams with batches for central, the most urgent lane first, then the longest waiting.
SELECT edge_id, lane, epoch FROM relay
GROUP BY edge_id, lane, epoch
ORDER BY CASE lane WHEN 0 THEN 0 WHEN 2 THEN 1 WHEN 1 THEN 2 ELSE 3 END, min(received_at_ms),
    edge_id, epoch;

-- next_batch --
-- The first batch of a stream that waits.
SELECT first_seq, last_seq, last_hash, batch FROM relay
WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch
ORDER BY first_seq, last_seq LIMIT 1;

-- next_batch_after --
-- The first batch of a stream that waits and begins later; of two that begin alike, the longer.
SELECT first_seq, last_seq, last_hash, batch FROM relay
WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch AND first_seq > :seq
ORDER BY first_seq, last_seq DESC LIMIT 1;

-- forget_batch --
-- Central will not take it, or has it.
DELETE FROM relay WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch
    AND first_seq = :first_seq AND last_seq = :last_seq AND last_hash = :last_hash;

-- forget_batches_to --
-- Central has everything up to here.
DELETE FROM relay
WHERE edge_id = :edge_id AND lane = :lane AND epoch = :epoch AND last_seq <= :seq;

-- open_holds_asked_by --
-- Whether a till has holds here that are not decided.
SELECT 1 FROM hold WHERE asker = :asker AND state = 'held' LIMIT 1;
