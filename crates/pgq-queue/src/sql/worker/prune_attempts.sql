-- Removes old attempts from the next blocks of the table, and moves the walk. If somebody else has moved it, nothing
-- is removed.
--
-- $1 text    the walk
-- $2 bigint  from this block of the table on
-- $3 bigint  up to this one
-- $4 bigint  where it goes on
-- $5 bigint  milliseconds that attempts are kept
WITH moved AS (
    UPDATE pgqueuer_retention SET position = $4, walked = now() WHERE walk = $1 AND position = $2 RETURNING walk
), gone AS (
    DELETE FROM pgqueuer_attempt
    WHERE ctid >= format('(%s,0)', $2::bigint)::tid AND ctid < format('(%s,0)', $3::bigint)::tid
      AND created < now() - $5::bigint * interval '1 millisecond' AND EXISTS (SELECT FROM moved)
    RETURNING job_id
)
SELECT EXISTS (SELECT FROM moved) AS moved, (SELECT count(*) FROM gone) AS removed
