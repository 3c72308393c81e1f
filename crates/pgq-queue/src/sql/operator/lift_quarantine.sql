-- Ends the quarantine of a version, and tells the hosts. No row: there was none.
--
-- $1 text digest; $2 text the mark of a quarantine; $3 text command to the hosts
WITH gone AS (
    DELETE FROM pgqueuer_verdict WHERE subject = $1 AND rules = $2 RETURNING subject
)
SELECT pg_notify('ch_pgqueuer_host', $3) FROM gone
