-- A past use of a promotion leaves nothing behind, least of all its customer's name.
DELETE FROM feed_key WHERE topic = 'use' AND hash = x'';
