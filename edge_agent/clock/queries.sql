-- floor --
-- Trusted time as it was last kept.
SELECT floor_ms, boot_id, boot_ns FROM clock_floor WHERE only = 1;

-- put_floor --
-- Trusted time now; it never goes below what is kept.
INSERT INTO clock_floor (only, floor_ms, boot_id, boot_ns)
VALUES (1, :floor_ms, :boot_id, :boot_ns)
ON CONFLICT (only) DO UPDATE SET
    floor_ms = excluded.floor_ms, boot_id = excluded.boot_id, boot_ns = excluded.boot_ns
WHERE excluded.floor_ms >= clock_floor.floor_ms;
