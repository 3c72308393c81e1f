-- Removes the rows of the log that were judged, and were counted into the statistics, and moves the walk past them. If
-- somebody else has moved it, nothing is removed.
--
-- $1 text      the walk
-- $2 bigint    where it stood when they were judged
-- $3 bigint    where it goes on
-- $4 bigint[]  the rows
WITH moved AS (
    UPDATE pgqueuer_retention SET position = $3, walked = now() WHERE walk = $1 AND position = $2 RETURNING walk
), gone AS (
    DELETE FROM pgqueuer_log AS l WHERE l.id = ANY ($4) AND l.aggregated AND EXISTS (SELECT FROM moved) RETURNING l.id
)
SELECT EXISTS (SELECT FROM moved) AS moved, (SELECT count(*) FROM gone) AS removed
