-- The newest log rows of one job, the newest first, from the index by job and time.
--
-- $1 bigint  job
-- $2 bigint  rows at most
SELECT greatest('0001-01-01 00:00Z', least(l.created, '9999-12-31 23:59:59.999999Z')) AS at, l.status::text AS status,
       l.entrypoint, l.priority, l.traceback::text AS traceback
FROM pgqueuer_log AS l WHERE l.job_id = $1
ORDER BY l.created DESC, l.id DESC
LIMIT $2
