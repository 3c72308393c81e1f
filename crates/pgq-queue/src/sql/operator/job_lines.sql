-- What the runs of one job printed, as far as it is kept, the newest first, from the index by job.
--
-- $1 bigint  job
-- $2 bigint  runs at most
SELECT l.id::bigint AS id, l.created AS at, l.job_id::bigint AS job_id, l.attempt, l.failed, l.entrypoint,
       l.cut, l.lines
FROM pgqueuer_lines AS l WHERE l.job_id = $1
ORDER BY l.job_id, l.id DESC
LIMIT $2
