-- Locks jobs again whose locks were lost with their session, as far as nobody else had them meanwhile.
--
-- $1 bigint[]       jobs
-- $2 timestamptz[]  `updated` of each when it was locked first
-- $3 integer[]      `attempts` of each at that time
--
-- Whoever claims a job, or puts it back, writes `updated`. A row that is locked is another worker's by now. Returns
-- the jobs that are ours again.
SELECT q.id::bigint FROM unnest($1::bigint[], $2::timestamptz[], $3::int[]) AS held(id, seen, attempts)
CROSS JOIN LATERAL (
    SELECT id FROM pgqueuer
    WHERE id = ANY (ARRAY[held.id]) AND updated IS NOT DISTINCT FROM held.seen
      AND attempts IS NOT DISTINCT FROM held.attempts AND status IS NOT DISTINCT FROM 'queued'
    FOR UPDATE SKIP LOCKED
) AS q
