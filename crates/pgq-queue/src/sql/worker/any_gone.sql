-- Whether an announced worker has no session, so that it may have died a moment ago.
--
-- $1 uuid  this worker
SELECT EXISTS (
    SELECT FROM pgqueuer_host WHERE id <> $1 AND presence IS NOT NULL AND pg_try_advisory_xact_lock(presence))
