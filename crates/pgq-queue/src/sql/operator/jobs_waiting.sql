-- Queued jobs of one entrypoint in the order of their priorities and ids, which is that of their claims once they are
-- due. Reads at most so many entries of the index that has this order: first the rest of one priority, then all below.
-- `= ANY (ARRAY[one])` and the first column in ORDER BY leave no other index to choose from.
--
-- $1 bigint       with an id above this, of those with the priority $14
-- $2 bigint       rows to look at
-- $3 text[]       of these statuses
-- $4 text         of this entrypoint; NULL: of all
-- $5 bigint       not younger than so many milliseconds; NULL: of any age
-- $6 bigint       not older than so many milliseconds; NULL: of any age
-- $7 text         with this in their last error; NULL: with or without one
-- $8 text         with this header; NULL: with any
-- $9 text         and with this value of it, as text; NULL: with any
-- $10 text        last failed in a version whose sha256 begins so, or run now by these workers; NULL: in any
-- $11 uuid[]      workers that serve that version; $12 text[] the entrypoints that they serve of it
-- $13 bigint      jobs to return at most
-- $14 integer     with this priority or less
SELECT q.id::bigint AS id, q.status::text AS status, q.entrypoint, q.priority, q.attempts, q.dedupe_key,
       q.queue_manager_id,
       greatest('0001-01-01 00:00Z', least(q.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(q.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(q.execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
       last.error, last.sha256 AS plugin_sha256, NULL::timestamptz AS log_created, NULL::bigint AS log_id
FROM (
    (SELECT id, status, entrypoint, priority, attempts, dedupe_key, queue_manager_id, created, updated,
             execute_after, headers
     FROM pgqueuer WHERE status = 'queued' AND entrypoint = ANY (ARRAY[$4::text])
       AND priority = $14::integer AND id > $1
     ORDER BY entrypoint, priority DESC, id LIMIT $2)
    UNION ALL
    (SELECT id, status, entrypoint, priority, attempts, dedupe_key, queue_manager_id, created, updated,
             execute_after, headers
     FROM pgqueuer WHERE status = 'queued' AND entrypoint = ANY (ARRAY[$4::text]) AND priority < $14::integer
     ORDER BY entrypoint, priority DESC, id LIMIT $2)
    LIMIT $2
) AS q
LEFT JOIN LATERAL (
    SELECT concat_ws(': ', l.traceback ->> 'exception_type', l.traceback ->> 'exception_message') AS error,
           l.traceback #>> '{additional_context,plugin_sha256}' AS sha256
    FROM pgqueuer_log AS l
    -- A job that never failed has no traceback to look for.
    WHERE l.job_id = q.id AND l.traceback IS NOT NULL AND (q.attempts > 0 OR q.status = 'failed')
    ORDER BY l.created DESC, l.id DESC LIMIT 1
) AS last ON true
WHERE q.status::text = ANY($3::text[]) AND ($4::text IS NULL OR q.entrypoint = $4)
  AND ($5::bigint IS NULL OR q.created <= now() - $5 * interval '1 millisecond')
  AND ($6::bigint IS NULL OR q.created >= now() - $6 * interval '1 millisecond')
  AND ($7::text IS NULL OR strpos(lower(last.error), lower($7)) > 0)
  AND ($8::text IS NULL OR q.headers ? $8) AND ($9::text IS NULL OR q.headers ->> $8 = $9)
  AND ($10::text IS NULL OR starts_with(last.sha256, $10) OR (q.status = 'picked'
      AND (q.queue_manager_id, q.entrypoint) IN (SELECT * FROM unnest($11::uuid[], $12::text[]))))
-- In the order of the two parts: each is in the order of the index, and no join here changes it. To sort, PostgreSQL
-- would read all $2 rows for each page.
LIMIT $13
