-- Which announced workers are gone, asked by trying for the lock that their sessions share: a few look-ups in
-- memory per worker and none per job. Whoever gets a dead worker's lock has it until the statement ends.
-- (`pg_locks` would say it too, after copying every lock of the server.)
--
-- $1 uuid     this worker
-- $2 boolean  whether to look if any other worker holds jobs; without it `busy` is true
SELECT id, CASE WHEN id = $1 THEN false ELSE pg_try_advisory_xact_lock(presence) END AS gone,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint AS up_ms,
       (SELECT CASE WHEN $2 THEN EXISTS (SELECT FROM pgqueuer WHERE status = 'picked' AND queue_manager_id <> $1)
                    ELSE true END) AS busy
FROM pgqueuer_host WHERE presence IS NOT NULL ORDER BY id
