-- Renews the leases of running jobs, and says which of them are still ours.
--
-- $1 bigint[]       jobs
-- $2 uuid           this worker
-- $3 timestamptz[]  their claims
--
-- A row that is locked is passed over: mostly it is our own recorder's, about to write how the job ended, and
-- behind a slow one the leases of all other jobs would run out. It is still ours, and renewed the next time.
WITH held AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[]) AS h(id, claimed)
), free AS MATERIALIZED (
    SELECT q.id FROM held CROSS JOIN LATERAL (
        SELECT id FROM pgqueuer
        WHERE id = ANY (ARRAY[held.id]) AND updated IS NOT DISTINCT FROM held.claimed
          AND queue_manager_id IS NOT DISTINCT FROM $2 AND status IS NOT DISTINCT FROM 'picked'
        FOR NO KEY UPDATE SKIP LOCKED
    ) AS q
), beaten AS (
    UPDATE pgqueuer AS q SET heartbeat = clock_timestamp() FROM free WHERE q.id = ANY (ARRAY[free.id]) RETURNING q.id
)
SELECT ours.id::bigint AS id, beaten.id IS NOT NULL AS beaten
FROM held JOIN pgqueuer AS ours ON ours.id = ANY (ARRAY[held.id]) LEFT JOIN beaten ON beaten.id = ours.id
WHERE ours.updated IS NOT DISTINCT FROM held.claimed AND ours.queue_manager_id IS NOT DISTINCT FROM $2
  AND ours.status IS NOT DISTINCT FROM 'picked'
