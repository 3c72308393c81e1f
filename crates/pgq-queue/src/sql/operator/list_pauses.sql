-- What is paused, the latest first.
SELECT kind, name, reason, author, role,
       greatest('0001-01-01 00:00Z', least(paused, '9999-12-31 23:59:59.999999Z')) AS paused,
       CASE WHEN until IS NOT NULL THEN least(until, '9999-12-31 23:59:59.999999Z') END AS until, skip_ticks
FROM pgqueuer_pause
WHERE until IS NULL OR until > now()
ORDER BY paused DESC, subject
