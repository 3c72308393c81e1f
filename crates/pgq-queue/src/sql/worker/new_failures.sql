-- The next failed runs, the oldest first, from the index of log rows with a traceback: what groups them, and no more of
-- their tracebacks than that takes.
--
-- $1 timestamptz  logged after this, or then with an id above $2
-- $2 bigint
-- $3 timestamptz  and before this
-- $4 bigint       rows at most
SELECT l.id::bigint AS id, l.job_id::bigint AS job_id, l.entrypoint, l.created AS at,
       t.exception_type, left(t.exception_message, 1000) AS message, left(t.traceback, 3000) || chr(10) || right(t.traceback, 500) AS traceback,
       t.additional_context ->> 'plugin' AS plugin, t.additional_context ->> 'plugin_version' AS plugin_version,
       t.additional_context ->> 'plugin_sha256' AS plugin_sha256
FROM (SELECT id, job_id, created, entrypoint, traceback FROM pgqueuer_log
      WHERE traceback IS NOT NULL AND (created, id) > ($1, $2) AND created < $3
      ORDER BY created, id LIMIT $4) AS l
CROSS JOIN LATERAL jsonb_to_record(CASE jsonb_typeof(l.traceback) WHEN 'object' THEN l.traceback ELSE '{}' END)
    AS t(exception_type text, exception_message text, traceback text, additional_context jsonb)
