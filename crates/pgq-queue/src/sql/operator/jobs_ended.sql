-- Ends of jobs in the log, the newest first. Reads at most so many rows by the index over time, whatever it finds.
--
-- $1 bigint       with an id of the log below this, of those at $14
-- $2 bigint       rows to look at
-- $3 text[]       of these statuses
-- $4 text         of this entrypoint; NULL: of all
-- $5 bigint       not younger than so many milliseconds; NULL: of any age
-- $6 bigint       not older than so many milliseconds; NULL: of any age
-- $7 text         with this in their error; NULL: with or without one
-- $8 text         with a version whose sha256 begins so in the error; NULL: with any
-- $9 bigint       jobs to return at most
-- $10 timestamptz logged then or before
SELECT l.job_id::bigint AS id, l.status::text AS status, l.entrypoint, l.priority,
       (l.traceback #>> '{additional_context,attempt}')::int AS attempts, NULL::text AS dedupe_key,
       (l.traceback #>> '{additional_context,queue_manager_id}')::uuid AS queue_manager_id,
       NULL::timestamptz AS created,
       greatest('0001-01-01 00:00Z', least(l.created, '9999-12-31 23:59:59.999999Z')) AS updated,
       NULL::timestamptz AS execute_after,
       nullif(concat_ws(': ', l.traceback ->> 'exception_type', l.traceback ->> 'exception_message'), '') AS error,
       l.traceback #>> '{additional_context,plugin_sha256}' AS plugin_sha256,
       greatest('0001-01-01 00:00Z', least(l.created, '9999-12-31 23:59:59.999999Z')) AS log_created,
       l.id::bigint AS log_id
FROM (SELECT id, job_id, created, status, priority, entrypoint, traceback FROM pgqueuer_log
      WHERE created <= $10 AND (created < $10 OR id < $1) ORDER BY created DESC, id DESC LIMIT $2) AS l
WHERE l.status::text = ANY($3::text[]) AND ($4::text IS NULL OR l.entrypoint = $4)
  AND ($5::bigint IS NULL OR l.created <= now() - $5 * interval '1 millisecond')
  AND ($6::bigint IS NULL OR l.created >= now() - $6 * interval '1 millisecond')
  AND ($7::text IS NULL OR strpos(lower(concat_ws(': ', l.traceback ->> 'exception_type',
                                                 l.traceback ->> 'exception_message')), lower($7)) > 0)
  AND ($8::text IS NULL OR starts_with(l.traceback #>> '{additional_context,plugin_sha256}', $8))
ORDER BY l.created DESC, l.id DESC
LIMIT $9
