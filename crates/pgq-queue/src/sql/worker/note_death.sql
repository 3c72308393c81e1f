-- Notes that a worker died, and wakes the others: jobs that it had only locked are free again, without a row that
-- changed.
--
-- $1 uuid  the worker
WITH dead AS (
    UPDATE pgqueuer_host SET died = now()
    WHERE id = $1 AND coalesce(died < seen, true) AND presence IS NOT NULL AND pg_try_advisory_xact_lock(presence)
    RETURNING id
)
SELECT pg_notify('ch_pgqueuer', json_build_object(
    'channel', 'ch_pgqueuer', 'operation', 'update', 'sent_at', now(), 'table', 'pgqueuer',
    'type', 'table_changed_event')::text)
FROM dead
