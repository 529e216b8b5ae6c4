-- floor --
-- Trusted time as it was last kept.
SELECT floor_ms, boot_id, boot_ns, off_ms FROM clock_floor WHERE only = 1;

-- put_floor --
-- Trusted time now; it never goes below what is kept.
INSERT INTO clock_floor (only, floor_ms, boot_id, boot_ns, off_ms)
VALUES (1, :floor_ms, :boot_id, :boot_ns, :off_ms)
ON CONFLICT (only) DO UPDATE SET
    floor_ms = excluded.floor_ms, boot_id = excluded.boot_id, boot_ns = excluded.boot_ns,
    off_ms = excluded.off_ms
WHERE excluded.floor_ms >= clock_floor.floor_ms;
