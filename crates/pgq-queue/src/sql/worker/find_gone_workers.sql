-- Which announced workers are gone, asked by trying for the lock that their sessions share: a few look-ups in
-- memory per worker and none per job. Whoever gets a dead worker's lock has it until the statement ends.
-- (`pg_locks` would say it too, after copying every lock of the server.) The same statement asks for an echo on the
-- listening session, if that is due.
--
-- $1 uuid     this worker
-- $2 boolean  whether to look if any other worker holds jobs; without it `busy` is true
-- $3 text     PgQueuer's health check, whose echo is wanted; NULL: none is
SELECT id, CASE WHEN id = $1 THEN false ELSE pg_try_advisory_xact_lock(presence) END AS gone,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint AS up_ms,
       (SELECT CASE WHEN $2 THEN EXISTS (SELECT FROM pgqueuer WHERE status = 'picked' AND queue_manager_id <> $1)
                    ELSE true END) AS busy,
       (SELECT pg_notify('ch_pgqueuer', $3) WHERE $3 IS NOT NULL) IS NOT NULL AS echoes
FROM pgqueuer_host WHERE presence IS NOT NULL ORDER BY id
