-- start_stream --
-- A lane begins with the epoch and nonce that central issued.
INSERT INTO stream (lane, epoch, seq, hash, genesis) VALUES (:lane, :epoch, 0, :hash, :hash)
ON CONFLICT (lane) DO NOTHING;

-- head --
-- Where the chain of a lane stands.
SELECT epoch, seq, hash, genesis, acked_seq FROM stream WHERE lane = :lane;

-- heads --
-- Where the chains of all lanes stand, the most urgent first.
SELECT lane, epoch, seq, hash, genesis, acked_seq FROM stream ORDER BY lane;

-- append --
-- One more record of the lane.
INSERT INTO outbox (lane, epoch, seq, uid, recorded_at_ms, record, hash)
VALUES (:lane, :epoch, :seq, :uid, :recorded_at_ms, :record, :hash);

-- advance --
-- The chain stands at its new last record.
UPDATE stream SET seq = :seq, hash = :hash WHERE lane = :lane;

-- hash_at --
-- The chain hash after one record.
SELECT hash FROM outbox WHERE lane = :lane AND epoch = :epoch AND seq = :seq;

-- pending --
-- The next records to send, in order.
SELECT seq, record FROM outbox
WHERE lane = :lane AND epoch = :epoch AND seq > :after ORDER BY seq LIMIT :limit;

-- acknowledge --
-- Central has everything up to here.
UPDATE stream SET acked_seq = :seq WHERE lane = :lane;

-- oldest_pending --
-- When the oldest unacknowledged record was made.
SELECT o.recorded_at_ms FROM outbox o JOIN stream s ON s.lane = o.lane AND s.epoch = o.epoch
WHERE o.lane = :lane AND o.seq = s.acked_seq + 1;

-- whole --
-- All records of a lane in order, for checking the chain.
SELECT seq, record, hash FROM outbox WHERE lane = :lane AND epoch = :epoch ORDER BY seq;
