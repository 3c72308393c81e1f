-- Makes due ticks into jobs. Of the hosts and workers that see a tick, the one that locks the row first enqueues
-- its job. To the others the row is not due any more: `next_run` is not what they saw, or is still locked.
--
-- $1 bigint[] schedules; $2 timestamptz[] `next_run` as seen; $3 timestamptz[] the tick after that;
-- $4 text[] headers of the jobs as JSON; $5 boolean[] whether the tick is skipped, because an operator paused its
-- entrypoint
WITH tick AS (
    SELECT * FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[], $4::text[], $5::boolean[])
         AS t(id, seen, next, headers, skipped)
), due AS MATERIALIZED (
    SELECT s.id, tick.next, tick.headers, tick.skipped
    FROM pgqueuer_schedules AS s
    JOIN tick ON tick.id = s.id
        AND tick.seen = greatest('0001-01-01 00:00Z', least(s.next_run, '9999-12-31 23:59:59.999999Z'))
    WHERE (s.status = 'queued' AND s.next_run <= now())
       OR (s.status = 'picked' AND s.heartbeat <= now() - interval '30 seconds')
    ORDER BY s.id
    FOR UPDATE OF s SKIP LOCKED
), moved AS (
    UPDATE pgqueuer_schedules AS s
    SET status = 'queued', next_run = due.next,
        last_run = CASE WHEN due.skipped THEN s.last_run ELSE now() END, updated = now(), heartbeat = now()
    FROM due WHERE s.id = due.id
    RETURNING s.entrypoint, due.headers, due.skipped
), new AS (
    INSERT INTO pgqueuer (priority, entrypoint, headers, status)
    SELECT 0, entrypoint, headers::jsonb, 'queued'::pgqueuer_status FROM moved WHERE NOT skipped
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::pgqueuer_status, priority, entrypoint FROM new
)
SELECT id::bigint AS id, entrypoint FROM new
