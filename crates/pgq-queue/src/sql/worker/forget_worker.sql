-- Forgets a worker that is gone, when none of its jobs is left. Jobs of entrypoints that this host does not serve
-- are for others to put back. Its row stays for a day and tells when it died.
--
-- $1 uuid  the worker
/* IF deaths */ UPDATE pgqueuer_host SET presence = NULL /* ELSE DELETE FROM pgqueuer_host */
WHERE id = $1 AND presence IS NOT NULL AND pg_try_advisory_xact_lock(presence)
AND NOT EXISTS (SELECT FROM pgqueuer WHERE queue_manager_id = $1 AND status = 'picked')
