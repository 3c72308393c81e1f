-- Held jobs with their last failure, in the order of their entrypoints and ids, from the index of held jobs.
--
-- $1 text    after this entrypoint and id $2; NULL: from the first
-- $2 bigint
-- $3 bigint  jobs at most
-- $4 text    of this entrypoint; NULL: of all
SELECT q.id::bigint AS job_id, q.entrypoint, 'failed' AS status,
       greatest('0001-01-01 00:00Z', least(coalesce(last.created, q.updated), '9999-12-31 23:59:59.999999Z')) AS at,
       t.exception_type, left(t.exception_message, 1000) AS message, left(t.traceback, 3000) || chr(10) || right(t.traceback, 500) AS traceback,
       t.additional_context ->> 'plugin' AS plugin, t.additional_context ->> 'plugin_version' AS plugin_version,
       t.additional_context ->> 'plugin_sha256' AS plugin_sha256
FROM (
    (SELECT id, entrypoint, updated FROM pgqueuer
     WHERE status = 'failed' AND $4::text IS NULL
       AND (entrypoint, id) > (coalesce($1::text, ''), coalesce($2::bigint, -9223372036854775808))
     ORDER BY entrypoint, id LIMIT $3)
    UNION ALL
    (SELECT id, entrypoint, updated FROM pgqueuer
     WHERE status = 'failed' AND entrypoint = $4 AND id > coalesce($2::bigint, -9223372036854775808)
     ORDER BY entrypoint, id LIMIT $3)
) AS q
LEFT JOIN LATERAL (
    SELECT created, traceback FROM pgqueuer_log AS l WHERE l.job_id = q.id AND l.traceback IS NOT NULL
    ORDER BY l.created DESC, l.id DESC LIMIT 1
) AS last ON true
CROSS JOIN LATERAL jsonb_to_record(CASE jsonb_typeof(last.traceback) WHEN 'object' THEN last.traceback ELSE '{}' END)
    AS t(exception_type text, exception_message text, traceback text, additional_context jsonb)
