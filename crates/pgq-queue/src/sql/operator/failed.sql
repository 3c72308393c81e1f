-- Held jobs, the newest first. The newest failure of each comes from the log: one index look-up per row that is
-- shown.
--
-- $1 bigint  jobs at most
SELECT q.id::bigint AS id, q.priority, q.status::text AS status, q.entrypoint, q.attempts, q.queue_manager_id, q.slot,
       greatest('0001-01-01 00:00Z', least(q.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(q.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(q.heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat,
       greatest('0001-01-01 00:00Z', least(q.execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
       q.headers::text AS headers, coalesce(octet_length(q.payload), 0)::bigint AS payload_bytes,
       concat_ws(': ', last.traceback ->> 'exception_type', last.traceback ->> 'exception_message') AS error
FROM pgqueuer AS q LEFT JOIN LATERAL (
    SELECT traceback FROM pgqueuer_log AS l WHERE l.job_id = q.id AND l.traceback IS NOT NULL
    ORDER BY l.created DESC, l.id DESC LIMIT 1
) AS last ON true
WHERE q.status = 'failed'
ORDER BY q.created DESC, q.id DESC
LIMIT $1
