-- feed_state --
-- The checkpoint in its places, up to where the next one was read, whether that one is a snapshot,
-- and what is done with it.
SELECT cursor, reading, rebuilding, phase FROM feed WHERE only = 1;

-- put_feed_state --
-- The feed was applied, and read, up to here.
INSERT INTO feed (only, cursor, reading, rebuilding, phase)
VALUES (1, :cursor, :reading, :rebuilding, :phase)
ON CONFLICT (only) DO UPDATE
SET cursor = excluded.cursor, reading = excluded.reading, rebuilding = excluded.rebuilding,
    phase = excluded.phase;

-- any_key --
-- Whether anything was ever taken from a feed.
SELECT EXISTS (SELECT 1 FROM feed_key);

-- known_keys --
-- The versions and hashes of some keys of a topic.
SELECT key, version, hash FROM feed_key
WHERE topic = :topic AND key IN (SELECT value FROM json_each(:keys));

-- put_key --
-- A key's version and the hash of its entry; a forgotten key has none.
INSERT INTO feed_key (topic, key, version, hash) VALUES (:topic, :key, :version, :hash)
ON CONFLICT (topic, key) DO UPDATE SET version = excluded.version, hash = excluded.hash;

-- drop_key --
-- A key that central does not know.
DELETE FROM feed_key WHERE topic = :topic AND key = :key;

-- truncate_log --
-- Bring everything into the file and empty the log, if nobody reads: busy, frames, frames moved.
PRAGMA wal_checkpoint(TRUNCATE);

-- topic_keys --
-- Every key of a topic that has an entry.
SELECT key, hash FROM feed_key WHERE topic = :topic AND hash <> x'';

-- keys_after --
-- The next keys of a topic that have an entry.
SELECT key, version, hash FROM feed_key
WHERE topic = :topic AND key > :after AND hash <> x'' ORDER BY key LIMIT :limit;

-- sums --
-- What each topic adds up to.
SELECT topic, total, entries FROM feed_sum;

-- put_sum --
-- A topic adds up to this.
INSERT INTO feed_sum (topic, total, entries) VALUES (:topic, :total, :entries)
ON CONFLICT (topic) DO UPDATE SET total = excluded.total, entries = excluded.entries;

-- stage --
-- A change that waits for its checkpoint.
INSERT INTO feed_staged (topic, key, version, operation, payload, chunk)
VALUES (:topic, :key, :version, :operation, :payload, :chunk)
ON CONFLICT (topic, key) DO UPDATE SET version = excluded.version, operation = excluded.operation,
    payload = excluded.payload, chunk = excluded.chunk, fate = 0, mark = x''
WHERE excluded.version >= feed_staged.version;

-- any_staged --
-- Whether changes wait.
SELECT EXISTS (SELECT 1 FROM feed_staged);

-- staged_topics --
-- The topics of what waits.
SELECT DISTINCT topic FROM feed_staged ORDER BY topic;

-- staged_after --
-- The next changes of a topic that wait.
SELECT key, version, operation, payload FROM feed_staged
WHERE topic = :topic AND key > :after ORDER BY key LIMIT :limit;

-- set_fate --
-- What becomes of a change, and the hash of the entry that it leaves.
UPDATE feed_staged SET fate = :fate, mark = :mark WHERE topic = :topic AND key = :key;

-- decided --
-- Some changes of a topic of which something becomes.
SELECT key, version, operation, payload, fate, mark FROM feed_staged
WHERE topic = :topic AND fate > 0 ORDER BY key LIMIT :limit;

-- drop_staged --
-- A change that is in its place.
DELETE FROM feed_staged WHERE topic = :topic AND key = :key;

-- known_topics --
-- Topics of which something is noted.
SELECT DISTINCT topic FROM feed_key ORDER BY topic;

-- ghosts --
-- The next keys noted here that the snapshot does not hold.
SELECT k.key FROM feed_key k
WHERE k.topic = :topic AND k.key > :after AND NOT EXISTS (
    SELECT 1 FROM feed_staged s WHERE s.topic = k.topic AND s.key = k.key AND s.operation = 'put')
ORDER BY k.key LIMIT :limit;

-- stage_ghost --
-- Such a key goes when the snapshot is shown.
INSERT INTO feed_staged (topic, key, version, operation, payload, chunk)
VALUES (:topic, :key, 0, :operation, x'', 0)
ON CONFLICT (topic, key) DO UPDATE SET operation = excluded.operation, payload = x'';

-- sweep_staged --
-- Some of what waited is forgotten.
DELETE FROM feed_staged
WHERE (topic, key) IN (SELECT topic, key FROM feed_staged LIMIT :limit);

-- chunk_number --
-- The number of a piece.
SELECT number FROM feed_chunk WHERE sha256 = :sha256;

-- chunks --
-- The pieces of the snapshot that is being fetched, those not yet here first.
SELECT number, sha256, size_bytes, raw_bytes, staged FROM feed_chunk ORDER BY staged, number;

-- put_chunk --
-- A piece to be fetched.
INSERT INTO feed_chunk (sha256, size_bytes, raw_bytes, staged)
VALUES (:sha256, :size_bytes, :raw_bytes, 0) ON CONFLICT (sha256) DO NOTHING;

-- chunk_staged --
-- A piece is here.
UPDATE feed_chunk SET staged = 1 WHERE number = :number;

-- forget_chunk --
-- A piece that the snapshot being fetched does not name.
DELETE FROM feed_chunk WHERE sha256 = ?;

-- forget_chunks --
-- No snapshot is being fetched.
DELETE FROM feed_chunk;

-- put_wanted_bundle --
-- The bundle that central wants in force.
INSERT INTO wanted_bundle (key, entry) VALUES (:key, :entry)
ON CONFLICT (key) DO UPDATE SET entry = excluded.entry;

-- forget_wanted_bundle --
-- Central wants none.
DELETE FROM wanted_bundle WHERE key = :key;

-- wanted_bundle --
-- What should be in force.
SELECT entry FROM wanted_bundle WHERE key = 'rules';

-- wanted_bundles --
-- All that the feed said of bundles.
SELECT key, entry FROM wanted_bundle;

-- wipe_cards --
-- No card is known.
DELETE FROM card;

-- wipe_customers --
-- Nobody is known.
DELETE FROM customer;

-- wipe_newcomers --
-- Whom this shop made members.
DELETE FROM newcomer;

-- wipe_look_ups --
-- Who asked for whom.
DELETE FROM look_up;

-- wipe_balances --
-- No balance is known.
DELETE FROM balance;

-- wipe_told_uses --
-- Nobody is known to have used anything.
DELETE FROM told_use;

-- wipe_own_uses --
-- Nor what was used here.
DELETE FROM own_use;

-- wipe_leases --
-- There is no right to spend.
DELETE FROM lease;

-- wipe_own_parts --
-- Nor any part of a hub's leases.
DELETE FROM own_sub_lease;

-- wipe_peers --
-- No other agent is known.
DELETE FROM peer;

-- wipe_versions --
-- Keys of the feed name people.
DELETE FROM feed_key WHERE topic IN ('customer', 'balance', 'lease', 'peer', 'use');

-- wipe_sums --
-- What these topics add up to is nothing.
DELETE FROM feed_sum WHERE topic IN ('customer', 'balance', 'lease', 'peer', 'use');

-- wipe_next_cards --
-- No card of a checkpoint on its way.
DELETE FROM card_next;

-- wipe_next_balances --
-- Nor any balance of it.
DELETE FROM balance_next;

-- wipe_feed --
-- Whoever hears of a feed again hears all of it.
DELETE FROM feed;

-- wipe_chunks --
-- Nor is any piece of a snapshot here.
DELETE FROM feed_chunk;

-- wipe_staged --
-- Neither does anybody wait.
DELETE FROM feed_staged;
