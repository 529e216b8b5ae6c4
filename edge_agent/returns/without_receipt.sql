-- sold_since --
-- The latest sales that may hold an article: its name stands somewhere in them.
SELECT fact FROM receipt
WHERE state = 'committed' AND recorded_at_ms >= :since_ms AND instr(fact, CAST(:sku AS BLOB)) > 0
ORDER BY rowid DESC LIMIT :limit;
