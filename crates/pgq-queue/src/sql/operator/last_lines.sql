-- What the last runs printed, the newest first. Reads at most so many rows by the key, whosever they are.
--
-- $1 bigint  rows to look at
-- $2 text    of this entrypoint; NULL: of all
-- $3 bigint  runs at most
SELECT l.id::bigint AS id, l.created AS at, l.job_id::bigint AS job_id, l.attempt, l.failed, l.entrypoint,
       l.cut, l.lines
FROM (SELECT id, created, job_id, attempt, failed, entrypoint, cut, lines
      FROM pgqueuer_lines ORDER BY id DESC LIMIT $1) AS l
WHERE ($2::text IS NULL OR l.entrypoint = $2)
ORDER BY l.id DESC
LIMIT $3
