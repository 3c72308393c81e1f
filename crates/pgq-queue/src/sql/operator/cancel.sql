-- Cancels jobs: rows, log and notification are committed together. The notification names all ids that were asked
-- for, as PgQueuer's does: a worker that missed the first one still runs a job whose row is gone.
--
-- $1 bigint[]  jobs
-- $2 text      channel
-- $3 text      the notification
-- $4 bigint    row of the audit that counts them; NULL: none
-- $5 text[]    those with these statuses; NULL: with any
WITH doomed AS MATERIALIZED (
    SELECT id, status FROM pgqueuer WHERE id = ANY($1) AND ($5::text[] IS NULL OR status::text = ANY($5))
    ORDER BY id FOR UPDATE
), gone AS (
    DELETE FROM pgqueuer AS q USING doomed WHERE q.id = ANY (ARRAY[doomed.id])
    RETURNING q.id, q.priority, q.entrypoint, doomed.status
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'canceled'::pgqueuer_status, priority, entrypoint FROM gone
), noted AS (
    /* IF audit */ UPDATE pgqueuer_audit SET jobs = jobs + (SELECT count(*) FROM gone)
                   WHERE id = $4::bigint RETURNING id
    /* ELSE SELECT $4::bigint AS id */
), told AS MATERIALIZED (
    SELECT pg_notify($2, $3)
)
SELECT asked.id, gone.status::text AS was,
       CASE WHEN gone.id IS NULL THEN (
           SELECT l.status::text FROM pgqueuer_log AS l WHERE l.job_id = asked.id
           ORDER BY l.created DESC, l.id DESC LIMIT 1
       ) END AS last_status
FROM told, (SELECT count(*) FROM noted) AS counted,
     unnest($1::bigint[]) WITH ORDINALITY AS asked(id, place) LEFT JOIN gone USING (id)
ORDER BY asked.place
