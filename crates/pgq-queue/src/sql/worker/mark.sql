-- Marks jobs that are locked and still run: from the commit on, theirs are claims with a lease like any other.
--
-- $1 bigint[]       jobs
-- $2 uuid           this worker
-- $3 timestamptz[]  when they were locked, which is the time of their claims
-- $4 text[]         entrypoints whose claims are not logged
--
-- In the transaction that locked them, so that nobody can be ahead. Returns the jobs.
WITH held AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[]) AS h(id, claimed)
), claimed AS (
    UPDATE pgqueuer AS q
    SET status = 'picked', updated = held.claimed, heartbeat = clock_timestamp(), queue_manager_id = $2, slot = NULL
    FROM held WHERE q.id = ANY (ARRAY[held.id]) AND q.status IS NOT DISTINCT FROM 'queued'
    RETURNING q.id, q.priority, q.entrypoint, q.updated
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated, created)
    SELECT id, 'picked'::pgqueuer_status, priority, entrypoint, /* IF tally */ true /* ELSE false */, updated
    FROM claimed WHERE entrypoint <> ALL ($4::text[])
), tallied AS (
    /* IF tally */ INSERT INTO pgqueuer_tally (created, count, priority, status, entrypoint) /* END */
    SELECT date_trunc('sec', now()), count(*), priority, 'picked', entrypoint FROM claimed
    GROUP BY priority, entrypoint
)
SELECT id::bigint FROM claimed
