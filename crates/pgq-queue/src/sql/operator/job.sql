-- One job as it stands in the queue, by its key.
--
-- $1 bigint   job
-- $2 integer  bytes of its payload at most
SELECT q.id::bigint AS id, q.status::text AS status, q.entrypoint, q.priority, q.attempts, q.dedupe_key,
       q.queue_manager_id, q.slot,
       greatest('0001-01-01 00:00Z', least(q.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(q.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(q.heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat,
       greatest('0001-01-01 00:00Z', least(q.execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
       -- Headers beyond that are of no use to anybody who looks, and cost the server their size.
       CASE WHEN coalesce(pg_column_size(q.headers), 0) <= 262144 THEN q.headers::text END AS headers,
       coalesce(pg_column_size(q.headers), 0)::bigint AS headers_bytes,
       octet_length(q.payload)::bigint AS payload_bytes, substring(q.payload FROM 1 FOR $2::integer) AS payload
FROM pgqueuer AS q WHERE q.id = $1
