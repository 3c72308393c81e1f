-- Has no host serve a version, whatever was found out about it before, and tells the hosts.
--
-- $1 text digest; $2 text plugin; $3 text version; $4 text verdict; $5 text reason; $6 text the mark of a quarantine
-- $7 text who does it; $8 text command to the hosts
WITH written AS (
    INSERT INTO pgqueuer_verdict AS v (subject, sha256, name, version, verdict, reason, rules, host)
    VALUES ($1, $1, $2, $3, $4, $5, $6, $7)
    ON CONFLICT (subject) DO UPDATE
    SET verdict = EXCLUDED.verdict, reason = EXCLUDED.reason, rules = EXCLUDED.rules, host = EXCLUDED.host,
        entrypoint = NULL, until = NULL, judged = now()
    RETURNING subject
)
SELECT pg_notify('ch_pgqueuer_host', $8) FROM written
