-- All schedules, in PgQueuer's order: what ran longest ago first, what never ran last; with what operators changed.
SELECT s.id::bigint AS id, s.expression, s.entrypoint, s.status::text AS status,
       greatest('0001-01-01 00:00Z', least(s.heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat,
       greatest('0001-01-01 00:00Z', least(s.created, '9999-12-31 23:59:59.999999Z')) AS created,
       greatest('0001-01-01 00:00Z', least(s.updated, '9999-12-31 23:59:59.999999Z')) AS updated,
       greatest('0001-01-01 00:00Z', least(s.next_run, '9999-12-31 23:59:59.999999Z')) AS next_run,
       CASE WHEN s.last_run IS NOT NULL THEN
           greatest('0001-01-01 00:00Z', least(s.last_run, '9999-12-31 23:59:59.999999Z'))
       END AS last_run,
       /* IF adjustments */ coalesce(a.paused, false) AS paused, a.replaced, a.author, a.reason,
       CASE WHEN a.changed IS NOT NULL
           THEN greatest('0001-01-01 00:00Z', least(a.changed, '9999-12-31 23:59:59.999999Z')) END AS changed
       /* ELSE false AS paused, NULL::text AS replaced, NULL::text AS author, NULL::text AS reason, NULL::timestamptz AS changed */
FROM pgqueuer_schedules AS s
/* IF adjustments */ LEFT JOIN pgqueuer_adjustment AS a
    ON a.expression = s.expression AND a.entrypoint = s.entrypoint AND (a.paused OR a.replaced IS NOT NULL) /* END */
ORDER BY s.last_run ASC, s.id ASC
