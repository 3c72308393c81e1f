-- Rows of the queue in PgQueuer's order: the highest priority first, then the oldest. Each status is read by its own
-- index; those that wait are as many as the page reaches.
--
-- $1 bigint   rows at most
-- $2 bigint   rows to leave out before
-- $3 integer  bytes of a payload at most
SELECT q.id::bigint AS id, q.priority, q.queue_manager_id, q.status::text AS status, q.entrypoint, q.dedupe_key,
       greatest('0001-01-01 00:00Z', least(q.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(q.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(q.heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat,
       greatest('0001-01-01 00:00Z', least(q.execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
       octet_length(q.payload)::bigint AS payload_bytes, substring(q.payload FROM 1 FOR $3::integer) AS payload,
       CASE WHEN coalesce(pg_column_size(q.headers), 0) <= 262144 THEN q.headers::text
            ELSE '"too large to show"' END AS headers,
       q.attempts, q.slot
FROM (
    SELECT id, priority FROM (
        (SELECT id, priority FROM pgqueuer WHERE status = 'queued' ORDER BY priority DESC, id LIMIT $1::bigint + $2::bigint)
        UNION ALL
        (SELECT id, priority FROM pgqueuer WHERE status = 'picked' ORDER BY priority DESC, id LIMIT $1::bigint + $2::bigint)
        UNION ALL
        (SELECT id, priority FROM pgqueuer WHERE status = 'failed' ORDER BY priority DESC, id LIMIT $1::bigint + $2::bigint)
    ) AS either
    ORDER BY priority DESC, id LIMIT $1::bigint OFFSET $2::bigint
) AS page
JOIN pgqueuer AS q ON q.id = page.id
ORDER BY q.priority DESC, q.id
