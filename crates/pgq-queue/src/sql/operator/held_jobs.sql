-- Held jobs, the newest first by their ids, from the index of held jobs: of each entrypoint so many, and of these so
-- many.
--
-- $1 bigint       with an id below this
-- $2 bigint       rows to look at
-- $3 text[]       of these statuses
-- $4 text         of this entrypoint; NULL: of all
-- $5 bigint       not younger than so many milliseconds; NULL: of any age
-- $6 bigint       not older than so many milliseconds; NULL: of any age
-- $7 text         with this in their last error; NULL: with or without one
-- $8 text         with this header; NULL: with any
-- $9 text         and with this value of it, as text; NULL: with any
-- $10 text        last failed in a version whose sha256 begins so; NULL: in any
-- $11 uuid[]      not looked at: nobody runs a held job; $12 text[] nor is this
-- $13 bigint      jobs to return at most
WITH RECURSIVE name AS (
    (SELECT q.entrypoint FROM pgqueuer AS q WHERE q.status = 'failed' AND $4::text IS NULL ORDER BY q.entrypoint LIMIT 1)
    UNION ALL
    SELECT (SELECT q.entrypoint FROM pgqueuer AS q WHERE q.status = 'failed' AND q.entrypoint > name.entrypoint
            ORDER BY q.entrypoint LIMIT 1)
    FROM name WHERE name.entrypoint IS NOT NULL
), looked_at AS (
    SELECT held.id
    FROM (SELECT entrypoint FROM name WHERE entrypoint IS NOT NULL UNION ALL SELECT $4::text) AS wanted
    CROSS JOIN LATERAL (
        SELECT q.id FROM pgqueuer AS q
        WHERE q.status = 'failed' AND q.entrypoint = wanted.entrypoint AND q.id < $1
        ORDER BY q.entrypoint DESC, q.id DESC LIMIT $2
    ) AS held
    ORDER BY held.id DESC LIMIT $2
)
SELECT q.id::bigint AS id, q.status::text AS status, q.entrypoint, q.priority, q.attempts, q.dedupe_key,
       q.queue_manager_id,
       greatest('0001-01-01 00:00Z', least(q.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(q.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(q.execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
       last.error, last.sha256 AS plugin_sha256, NULL::timestamptz AS log_created, NULL::bigint AS log_id,
       last.exception_type, last.message, last.traceback
FROM looked_at CROSS JOIN LATERAL (
    SELECT id, status, entrypoint, priority, attempts, dedupe_key, queue_manager_id, created, updated, execute_after,
           headers
    FROM pgqueuer WHERE id = looked_at.id
) AS q
LEFT JOIN LATERAL (
    SELECT concat_ws(': ', l.traceback ->> 'exception_type', l.traceback ->> 'exception_message') AS error,
           l.traceback #>> '{additional_context,plugin_sha256}' AS sha256,
           CASE WHEN $12::boolean THEN l.traceback ->> 'exception_type' END AS exception_type,
           CASE WHEN $12::boolean THEN left(l.traceback ->> 'exception_message', 1000) END AS message,
           CASE WHEN $12::boolean THEN
               left(l.traceback ->> 'traceback', 3000) || chr(10) || right(l.traceback ->> 'traceback', 500)
           END AS traceback
    FROM pgqueuer_log AS l
    WHERE l.job_id = q.id AND l.traceback IS NOT NULL
    ORDER BY l.created DESC, l.id DESC LIMIT 1
) AS last ON true
WHERE q.status::text = ANY($3::text[])
  AND ($5::bigint IS NULL OR q.created <= now() - $5 * interval '1 millisecond')
  AND ($6::bigint IS NULL OR q.created >= now() - $6 * interval '1 millisecond')
  AND ($7::text IS NULL OR strpos(lower(last.error), lower($7)) > 0)
  AND ($8::text IS NULL OR q.headers ? $8) AND ($9::text IS NULL OR q.headers ->> $8 = $9)
  AND ($10::text IS NULL OR starts_with(last.sha256, $10))
ORDER BY q.id DESC
LIMIT $11
