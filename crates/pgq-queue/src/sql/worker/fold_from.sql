-- Takes the turn to count causes of failures, which one host has at a time, and tells how far they are counted. No row:
-- another host has it, or nobody ever had, and the next look finds the row that this one makes.
--
-- $1 bigint  milliseconds back from now where the first count begins
WITH new AS (
    INSERT INTO pgqueuer_retention (walk, walked) VALUES ('causes', now() - $1::bigint * interval '1 millisecond')
    ON CONFLICT (walk) DO NOTHING
)
SELECT r.position, r.walked, now() AS now FROM pgqueuer_retention AS r
WHERE r.walk = 'causes' AND r.walked IS NOT NULL FOR UPDATE SKIP LOCKED
