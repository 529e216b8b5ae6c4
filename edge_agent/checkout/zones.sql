-- newest --
-- Where the newest sales begin.
SELECT coalesce(max(rowid), 0) - :back FROM receipt;

-- sold_after --
-- Sales after one, in the order in which they were recorded.
SELECT rowid, fact FROM receipt WHERE rowid > :after AND state = 'committed'
ORDER BY rowid LIMIT :limit;
