-- Running jobs whose worker is silent, the longest silent first.
--
-- $1 bigint  milliseconds of silence
-- $2 bigint  jobs at most
SELECT q.id::bigint AS id, q.priority, q.queue_manager_id, q.status::text AS status, q.entrypoint,
       greatest('0001-01-01 00:00Z', least(q.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(q.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(q.heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat,
       greatest('0001-01-01 00:00Z', least(q.execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
       extract(
           epoch FROM now() - greatest('0001-01-01 00:00Z', least(q.heartbeat, '9999-12-31 23:59:59.999999Z'))
       )::float8 AS seconds_since_heartbeat
FROM pgqueuer AS q
WHERE q.status = 'picked' AND q.heartbeat < now() - $1 * interval '1 millisecond'
ORDER BY q.heartbeat, q.id
LIMIT $2
