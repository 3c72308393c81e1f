-- Takes the turn to count causes of failures, which one host has at a time, and tells how far they are counted. No row:
-- another host has it.
--
-- $1 bigint  milliseconds back from now where the first count begins
WITH new AS (
    INSERT INTO pgqueuer_retention (walk, walked) VALUES ('causes', now() - $1::bigint * interval '1 millisecond')
    ON CONFLICT (walk) DO NOTHING RETURNING position, walked
), known AS (
    SELECT position, walked FROM pgqueuer_retention
    WHERE walk = 'causes' AND walked IS NOT NULL FOR UPDATE SKIP LOCKED
)
SELECT position, walked, now() AS now FROM known UNION ALL SELECT position, walked, now() FROM new
