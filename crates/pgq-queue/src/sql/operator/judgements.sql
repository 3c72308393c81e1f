-- What hosts found out about versions of plugins, and what operators quarantined, the latest first.
--
-- $1 bigint  verdicts at most
SELECT sha256, name, version, entrypoint, CASE rules WHEN 'quarantine' THEN 'quarantined' ELSE verdict END AS verdict,
       reason, host,
       CASE WHEN until IS NOT NULL THEN least(until, '9999-12-31 23:59:59.999999Z') END AS until,
       greatest('0001-01-01 00:00Z', least(judged, '9999-12-31 23:59:59.999999Z')) AS judged
FROM pgqueuer_verdict WHERE until IS NULL OR until > now()
ORDER BY judged DESC, subject
LIMIT $1
