-- Jobs that failed for good and were deleted, the newest first, of so many failed runs: from the index of log rows with
-- a traceback.
--
-- $1 bigint  rows at most
-- $2 bigint  characters of a traceback at most
-- $3 bigint  failed runs to look at
SELECT l.id::bigint AS id, l.job_id::bigint AS job_id, l.status::text AS status, l.priority, l.entrypoint,
       left(l.traceback::text, $2::integer) AS traceback, l.aggregated,
       greatest('0001-01-01 00:00Z', least(l.created, '9999-12-31 23:59:59.999999Z')) AS created
FROM (SELECT id, job_id, status, priority, entrypoint, traceback, aggregated, created FROM pgqueuer_log
      WHERE traceback IS NOT NULL ORDER BY created DESC, id DESC LIMIT $3::bigint) AS l
WHERE l.status = 'exception'
ORDER BY l.created DESC, l.id DESC
LIMIT $1::bigint
