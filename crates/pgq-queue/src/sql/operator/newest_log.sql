-- Rows of the log, the newest first.
--
-- $1 bigint  rows at most
-- $2 bigint  characters of a traceback at most
SELECT l.id::bigint AS id, l.job_id::bigint AS job_id, l.status::text AS status, l.priority, l.entrypoint,
       left(l.traceback::text, $2::integer) AS traceback, l.aggregated,
       greatest('0001-01-01 00:00Z', least(l.created, '9999-12-31 23:59:59.999999Z')) AS created
FROM pgqueuer_log AS l
ORDER BY l.created DESC, l.id DESC
LIMIT $1::bigint
