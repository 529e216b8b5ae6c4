-- cursor --
-- Up to where the feed was applied.
SELECT cursor FROM feed WHERE only = 1;

-- put_cursor --
-- The feed was applied up to here.
INSERT INTO feed (only, cursor) VALUES (1, :cursor)
ON CONFLICT (only) DO UPDATE SET cursor = excluded.cursor;

-- claim_version --
-- Note a key's version; answers a row only if it is above the one noted before.
INSERT INTO feed_key (topic, key, version) VALUES (:topic, :key, :version)
ON CONFLICT (topic, key) DO UPDATE SET version = excluded.version
WHERE excluded.version > feed_key.version
RETURNING version;

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
