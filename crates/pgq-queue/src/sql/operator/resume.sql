-- Resumes something, removes pauses that are over, and tells the hosts. One row if it was paused, and none otherwise.
--
-- $1 text  subject
-- $2 text  command to the hosts
WITH gone AS (
    DELETE FROM pgqueuer_pause WHERE subject = $1 OR until <= now()
    RETURNING subject, until IS NULL OR until > now() AS was_paused
)
SELECT pg_notify('ch_pgqueuer_host', $2) FROM gone WHERE subject = $1 AND was_paused
