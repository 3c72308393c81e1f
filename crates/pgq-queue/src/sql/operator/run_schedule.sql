-- Enqueues the job of a schedule as a tick would, with the headers of one that is due now. The schedule stays as it is.
--
-- $1 bigint  schedule
-- $2 text    the time, for the headers
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, headers, status)
    SELECT 0, s.entrypoint, jsonb_build_object('pgq_schedule', jsonb_build_object(
               'expression', s.expression, 'scheduled_for', $2::text)), 'queued'::pgqueuer_status
    FROM pgqueuer_schedules AS s WHERE s.id = $1
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::pgqueuer_status, priority, entrypoint FROM new
)
SELECT id::bigint AS id FROM new
