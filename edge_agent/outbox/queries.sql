-- start_stream --
-- A lane begins with the epoch and nonce that central issued; one that has begun stays.
INSERT INTO stream (lane, epoch, seq, hash, genesis, pruned_hash)
VALUES (:lane, :epoch, 0, :hash, :hash, :hash)
ON CONFLICT DO NOTHING;

-- start_stream_at --
-- A stream that is known only from here on.
INSERT INTO stream (lane, epoch, seq, hash, genesis, acked_seq, pruned_seq, pruned_hash)
VALUES (:lane, :epoch, :seq, :hash, :hash, :seq, :seq, :hash)
ON CONFLICT (coalesce(edge_id, 0), lane, epoch) DO UPDATE SET
    seq = excluded.seq, hash = excluded.hash, acked_seq = excluded.seq,
    pruned_seq = excluded.seq, pruned_hash = excluded.hash;

-- retire_lane --
-- A newer epoch of one lane begins.
UPDATE stream SET current = 0 WHERE current = 1 AND lane = :lane;

-- retire_current --
-- A newer epoch begins: the streams so far take no more records.
UPDATE stream SET current = 0 WHERE current = 1;

-- drop_unused --
-- Streams of an enrolment that was cut before its settings were written: nothing is in them.
DELETE FROM stream
WHERE edge_id IS NULL AND seq = 0 AND EXISTS (
    SELECT 1 FROM stream o
    WHERE o.edge_id = :edge_id AND o.lane = stream.lane AND o.epoch = stream.epoch);

-- name_owner --
-- This folder becomes another edge: what it has is of the one it was.
UPDATE stream SET edge_id = :edge_id, current = 0 WHERE edge_id IS NULL;

-- ask_again --
-- Of each older stream one record is sent once more: the answer says how far central has it.
UPDATE stream SET acked_seq = max(pruned_seq, acked_seq - 1) WHERE current = 0;

-- head --
-- Where the chain of a lane stands, in the epoch that takes records.
SELECT stream_id, edge_id, lane, epoch, current, seq, hash, genesis, acked_seq, pruned_seq,
       pruned_hash
FROM stream WHERE lane = :lane AND current = 1;

-- head_by_id --
-- Where one stream stands.
SELECT stream_id, edge_id, lane, epoch, current, seq, hash, genesis, acked_seq, pruned_seq,
       pruned_hash
FROM stream WHERE stream_id = :stream_id;

-- heads --
-- Where the chains of all lanes stand, the most urgent first.
SELECT stream_id, edge_id, lane, epoch, current, seq, hash, genesis, acked_seq, pruned_seq,
       pruned_hash
FROM stream WHERE current = 1 ORDER BY lane;

-- streams --
-- All streams, those of older epochs first.
SELECT stream_id, edge_id, lane, epoch, current, seq, hash, genesis, acked_seq, pruned_seq,
       pruned_hash
FROM stream ORDER BY stream_id;

-- stream_named --
-- Where this edge's stream of a lane and epoch stands.
SELECT stream_id, edge_id, lane, epoch, current, seq, hash, genesis, acked_seq, pruned_seq,
       pruned_hash
FROM stream WHERE edge_id IS NULL AND lane = :lane AND epoch = :epoch;

-- epoch --
-- The epoch that takes records.
SELECT max(epoch) FROM stream WHERE current = 1;

-- append --
-- One more record of the stream.
INSERT INTO outbox (stream_id, seq, uid, recorded_at_ms, record, hash, local)
VALUES (:stream_id, :seq, :uid, :recorded_at_ms, :record, :hash, :local);

-- advance --
-- The chain stands at its new last record.
UPDATE stream SET seq = :seq, hash = :hash WHERE stream_id = :stream_id;

-- hash_at --
-- The chain hash after one record.
SELECT hash FROM outbox WHERE stream_id = :stream_id AND seq = :seq;

-- pending --
-- The next records to send, in order.
SELECT seq, record FROM outbox
WHERE stream_id = :stream_id AND seq > :after ORDER BY seq LIMIT :limit;

-- acknowledge --
-- Central has everything up to here.
UPDATE stream SET acked_seq = :seq WHERE stream_id = :stream_id;

-- recorded_at --
-- When one record was made.
SELECT recorded_at_ms FROM outbox WHERE stream_id = :stream_id AND seq = :seq;

-- whole --
-- All records of a stream in order, for checking the chain.
SELECT seq, record, hash FROM outbox WHERE stream_id = :stream_id ORDER BY seq;

-- after --
-- Records with all that the shop keeps of them, in order.
SELECT seq, uid, recorded_at_ms, record, hash, local FROM outbox
WHERE stream_id = :stream_id AND seq > :after ORDER BY seq LIMIT :limit;

-- has_uid --
-- Where a fact stands in a chain here.
SELECT stream_id, seq, hash FROM outbox WHERE uid = :uid;

-- unconfirmed --
-- Whether a fact is here that head office has not confirmed.
SELECT EXISTS (SELECT 1 FROM held WHERE uid = :uid) OR EXISTS (
    SELECT 1 FROM outbox o JOIN stream s ON s.stream_id = o.stream_id
    WHERE o.uid = :uid AND o.seq > s.acked_seq);

-- prunable --
-- The first acknowledged records that are still kept.
SELECT seq, recorded_at_ms, hash FROM outbox
WHERE stream_id = :stream_id AND seq > :pruned_seq AND seq <= :acked_seq
ORDER BY seq LIMIT :limit;

-- dated_after --
-- The first date after this record that is not a wrong clock's.
SELECT recorded_at_ms FROM outbox
WHERE stream_id = :stream_id AND seq > :seq AND recorded_at_ms <= :ahead_ms ORDER BY seq LIMIT 1;

-- prune --
-- Keep no record up to here.
DELETE FROM outbox WHERE stream_id = :stream_id AND seq <= :seq;

-- note_pruned --
-- The chain is kept from here on.
UPDATE stream SET pruned_seq = :seq, pruned_hash = :hash WHERE stream_id = :stream_id;

-- hold --
-- A fact waits for its number.
INSERT INTO held (lane, uid, recorded_at_ms, kind, body, local)
VALUES (:lane, :uid, :recorded_at_ms, :kind, :body, :local);

-- held --
-- The first facts of a lane that wait for a number.
SELECT held_id, uid, recorded_at_ms, kind, body, local FROM held
WHERE lane = :lane ORDER BY held_id LIMIT :limit;

-- held_after --
-- Facts that began to wait after this one, of lanes that are never dropped.
SELECT held_id, lane, uid, recorded_at_ms, kind, body, local FROM held
WHERE held_id > :after AND lane < 3 ORDER BY held_id LIMIT :limit;

-- held_has_uid --
-- Whether a fact waits here.
SELECT 1 FROM held WHERE uid = :uid;

-- held_last --
-- The last number given to a waiting fact.
SELECT seq FROM sqlite_sequence WHERE name = 'held';

-- held_counts --
-- How many facts wait by lane, and since when.
SELECT lane, count(*), min(recorded_at_ms) FROM held GROUP BY lane ORDER BY lane;

-- release --
-- The fact has its number.
DELETE FROM held WHERE held_id = :held_id;

-- release_uid --
-- The fact has its number, whatever it was here.
DELETE FROM held WHERE uid = :uid;

-- trim_ring --
-- The ring is full: its oldest facts go.
DELETE FROM held WHERE lane = :lane AND held_id <= (
    SELECT held_id FROM held WHERE lane = :lane ORDER BY held_id DESC LIMIT 1 OFFSET :keep);

-- forget_telemetry --
-- Telemetry that waits for a number goes.
DELETE FROM held WHERE lane = 3;

-- recovery --
-- Whether, why and since when this database may lack what was recorded.
SELECT reason, recovery_id, since_ms FROM recovery WHERE only = 1;

-- enter_recovery --
-- Nothing is numbered or spent from now on; a recovery that goes on keeps its id.
INSERT INTO recovery (only, reason, recovery_id, since_ms) VALUES (1, :reason, :recovery_id, :since_ms)
ON CONFLICT (only) DO UPDATE SET reason = excluded.reason;

-- leave_recovery --
-- Central gave a new epoch.
DELETE FROM recovery;
