-- Puts held jobs back. A held job has given up its dedupe key: it goes back only if no queued or running job has
-- the key by now, and no other job of this call. The slot of its last run goes too: PgQueuer's claim without a
-- limit would keep it.
--
-- $1 bigint[]  jobs
-- $2 bigint    row of the audit that counts them; NULL: none
WITH held AS MATERIALIZED (
    SELECT id, dedupe_key FROM pgqueuer WHERE id = ANY($1) AND status = 'failed' ORDER BY id FOR UPDATE
), judged AS MATERIALIZED (
    SELECT held.id, held.dedupe_key,
           coalesce(active.id, CASE WHEN held.dedupe_key IS NOT NULL
               THEN nullif(min(held.id) OVER (PARTITION BY held.dedupe_key), held.id) END) AS taken_by
    FROM held LEFT JOIN pgqueuer AS active
        ON active.dedupe_key = held.dedupe_key
        AND active.status = ANY (ARRAY['queued'::pgqueuer_status, 'picked'::pgqueuer_status])
), requeued AS (
    UPDATE pgqueuer AS q
    SET status = 'queued', execute_after = now(), updated = now(), attempts = 0, queue_manager_id = NULL, slot = NULL
    FROM judged WHERE q.id = ANY (ARRAY[judged.id]) AND judged.taken_by IS NULL
    RETURNING q.id, q.priority, q.entrypoint
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::pgqueuer_status, priority, entrypoint FROM requeued
), noted AS (
    /* IF audit */ UPDATE pgqueuer_audit SET jobs = jobs + (SELECT count(*) FROM requeued)
                   WHERE id = $2::bigint RETURNING id
    /* ELSE SELECT $2::bigint AS id */
)
SELECT asked.id, requeued.id IS NOT NULL AS requeued, judged.id IS NOT NULL AS held, judged.dedupe_key,
       judged.taken_by::bigint AS taken_by, q.status::text AS status,
       CASE WHEN q.id IS NULL THEN (
           SELECT l.status::text FROM pgqueuer_log AS l WHERE l.job_id = asked.id
           ORDER BY l.created DESC, l.id DESC LIMIT 1
       ) END AS last_status
FROM unnest($1::bigint[]) WITH ORDINALITY AS asked(id, place)
LEFT JOIN pgqueuer AS q USING (id) LEFT JOIN judged USING (id) LEFT JOIN requeued USING (id)
ORDER BY asked.place
