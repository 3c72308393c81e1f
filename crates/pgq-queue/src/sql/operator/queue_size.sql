-- How many jobs the queue holds, in PgQueuer's groups and order. Counts every job.
SELECT count(*) AS count, q.entrypoint, q.priority, q.status::text AS status
FROM pgqueuer AS q
GROUP BY q.entrypoint, q.priority, q.status
ORDER BY count(*), q.entrypoint, q.priority, q.status
