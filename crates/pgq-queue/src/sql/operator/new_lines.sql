-- What runs printed, by its key upwards. Reads at most so many rows, whosever they are.
--
-- $1 bigint  with a key above this
-- $2 bigint  rows to look at
-- $3 text    of this entrypoint; NULL: of all
-- $4 bigint[] not these
SELECT l.id::bigint AS id, l.created AS at, l.job_id::bigint AS job_id, l.attempt, l.failed, l.entrypoint,
       l.cut, l.lines
FROM (SELECT id, created, job_id, attempt, failed, entrypoint, cut, lines
      FROM pgqueuer_lines WHERE id > $1 ORDER BY id LIMIT $2) AS l
WHERE ($3::text IS NULL OR l.entrypoint = $3) AND l.id <> ALL ($4::bigint[])
ORDER BY l.id
