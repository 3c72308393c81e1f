-- The rows of the declared schedules, and any other that should have run a minute ago and that nobody runs, beside
-- the database's clock, with what operators changed of them. (The clock comes in a row of NULLs where there is no schedule.)
--
-- $1 text[] expressions; $2 text[] entrypoints
SELECT now() AS now, seen.*
FROM (VALUES (1)) AS one LEFT JOIN (
    SELECT s.id::bigint, s.expression, s.entrypoint,
           d.entrypoint IS NOT NULL AS declared, s.status = 'picked' AS picked,
           greatest('0001-01-01 00:00Z', least(s.next_run, '9999-12-31 23:59:59.999999Z')) AS next_run,
           greatest('0001-01-01 00:00Z', least(s.heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat,
           CASE s.status
               WHEN 'queued' THEN greatest('0001-01-01 00:00Z', least(s.next_run, '9999-12-31 23:59:59.999999Z'))
               WHEN 'picked' THEN
                   greatest('0001-01-01 00:00Z', least(s.heartbeat, '9999-12-31 23:59:59.999999Z'))
                       + interval '30 seconds'
           END AS due,
           greatest(s.last_run, s.updated) > now() + interval '5 seconds' AS from_ahead,
           /* IF adjustments */ coalesce(a.paused, false) AS paused, a.replaced /* ELSE false AS paused, NULL::text AS replaced */
    FROM pgqueuer_schedules AS s
    LEFT JOIN unnest($1::text[], $2::text[]) AS d(expression, entrypoint) USING (expression, entrypoint)
    /* IF adjustments */ LEFT JOIN pgqueuer_adjustment AS a
        ON a.expression = s.expression AND a.entrypoint = s.entrypoint /* END */
    WHERE d.entrypoint IS NOT NULL OR (s.status = 'queued' AND s.next_run < now() - interval '1 minute')
) AS seen ON true
