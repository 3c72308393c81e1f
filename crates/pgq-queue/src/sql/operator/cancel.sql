-- Cancels jobs: rows, log and notification are committed together. The notification names all ids that were asked
-- for, as PgQueuer's does: a worker that missed the first one still runs a job whose row is gone.
--
-- $1 bigint[]  jobs
-- $2 text      channel
-- $3 text      the notification
WITH doomed AS MATERIALIZED (
    SELECT id, status FROM pgqueuer WHERE id = ANY($1) ORDER BY id FOR UPDATE
), gone AS (
    DELETE FROM pgqueuer AS q USING doomed WHERE q.id = ANY (ARRAY[doomed.id])
    RETURNING q.id, q.priority, q.entrypoint, doomed.status
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'canceled'::pgqueuer_status, priority, entrypoint FROM gone
), told AS MATERIALIZED (
    SELECT pg_notify($2, $3)
)
SELECT asked.id, gone.status::text AS was,
       CASE WHEN gone.id IS NULL THEN (
           SELECT l.status::text FROM pgqueuer_log AS l WHERE l.job_id = asked.id
           ORDER BY l.created DESC, l.id DESC LIMIT 1
       ) END AS last_status
FROM told, unnest($1::bigint[]) WITH ORDINALITY AS asked(id, place) LEFT JOIN gone USING (id)
ORDER BY asked.place
