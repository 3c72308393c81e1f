-- The newest failed runs, the newest first, from the index of log rows with a traceback: what groups them, and no more
-- of their tracebacks than that takes.
--
-- $1 timestamptz  logged before this, or then with an id below $2
-- $2 bigint
-- $3 bigint       rows to look at
-- $4 text         of this entrypoint; NULL: of all
-- $5 bigint       not older than so many milliseconds; NULL: of any age
-- $6 timestamptz  logged after this, or then with an id above $7: what hosts have not counted yet
-- $7 bigint
SELECT l.job_id::bigint AS job_id, l.entrypoint, l.status::text AS status,
       greatest('0001-01-01 00:00Z', least(l.created, '9999-12-31 23:59:59.999999Z')) AS at,
       t.exception_type, left(t.exception_message, 1000) AS message, left(t.traceback, 3000) || chr(10) || right(t.traceback, 500) AS traceback,
       t.additional_context ->> 'plugin' AS plugin, t.additional_context ->> 'plugin_version' AS plugin_version,
       t.additional_context ->> 'plugin_sha256' AS plugin_sha256
FROM (SELECT id, job_id, created, status, entrypoint, traceback FROM pgqueuer_log
      WHERE traceback IS NOT NULL AND created <= $1 AND (created < $1 OR id < $2)
        AND created >= $6 AND (created > $6 OR id > $7)
      ORDER BY created DESC, id DESC LIMIT $3) AS l
CROSS JOIN LATERAL jsonb_to_record(CASE jsonb_typeof(l.traceback) WHEN 'object' THEN l.traceback ELSE '{}' END)
    AS t(exception_type text, exception_message text, traceback text, additional_context jsonb)
WHERE ($4::text IS NULL OR l.entrypoint = $4)
  AND ($5::bigint IS NULL OR l.created >= now() - $5 * interval '1 millisecond')
