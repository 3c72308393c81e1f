-- Notes that the run of a suspect begins, if its claim still stands, and renews its lease. The row of the queue is
-- locked first, as in every statement that touches both tables.
--
-- $1 bigint       job
-- $2 timestamptz  claim
-- $3 uuid         this worker
-- $4 boolean      whether it runs alone
WITH ours AS (
    UPDATE pgqueuer AS q SET heartbeat = clock_timestamp()
    WHERE q.id = $1 AND q.updated IS NOT DISTINCT FROM $2 AND q.queue_manager_id IS NOT DISTINCT FROM $3
      AND q.status IS NOT DISTINCT FROM 'picked'
    RETURNING q.id
)
INSERT INTO pgqueuer_suspect (job_id, worker, claim, alone) SELECT id, $3, $2, $4 FROM ours
ON CONFLICT (job_id) DO UPDATE SET worker = EXCLUDED.worker, claim = EXCLUDED.claim, alone = EXCLUDED.alone
