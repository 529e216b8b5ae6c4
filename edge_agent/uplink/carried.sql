-- put_key --
-- Head office's key, as it told it over a line.
INSERT INTO carried (only, central_key) VALUES (1, :key)
ON CONFLICT (only) DO UPDATE SET central_key = excluded.central_key;

-- put_heads --
-- Its heads, as the last answer said.
INSERT INTO carried (only, heads) VALUES (1, :heads)
ON CONFLICT (only) DO UPDATE SET heads = excluded.heads;

-- put_whole --
-- Whether the feed is to be told whole next time.
INSERT INTO carried (only, whole) VALUES (1, :whole)
ON CONFLICT (only) DO UPDATE SET whole = excluded.whole;

-- carried --
-- All of it.
SELECT central_key, heads, whole FROM carried;

-- put_question --
-- A file is being made.
INSERT INTO question (file_id, made_at_ms, answer_key, told)
VALUES (:file_id, :made_at_ms, :answer_key, :told);

-- question_made --
-- It is made.
UPDATE question SET records = :records, size_bytes = :size_bytes WHERE file_id = :file_id;

-- last_made_at --
-- When the last question was made.
SELECT max(made_at_ms) FROM question;

-- question --
-- The question of an answer.
SELECT answer_key, told FROM question WHERE file_id = :file_id;

-- questions --
-- The last ones, for people.
SELECT number, made_at_ms, records, size_bytes, answered_at_ms FROM question
ORDER BY number DESC LIMIT :count;

-- answered --
-- The answer is here; nobody opens another copy of it.
UPDATE question SET answered_at_ms = :now_ms, answer_key = x'' WHERE file_id = :file_id;

-- forget_questions --
-- Older ones than are kept.
DELETE FROM question WHERE number <= (SELECT max(number) FROM question) - :keep;

-- wipe_questions --
-- No answer is taken any more.
UPDATE question SET answer_key = x'';

-- wipe_carried --
-- Nor is a question made.
DELETE FROM carried;
