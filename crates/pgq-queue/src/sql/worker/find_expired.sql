-- Whether any lease has run out. Nearly always none has, and nothing is written then: PgQueuer's trigger would
-- wake every worker after a DELETE of no rows, too. The server's clock and its age come with it.
--
-- $1 text[]    entrypoints
-- $2 bigint    milliseconds that a lease lasts
-- $3 bigint[]  jobs that this worker holds, whose renewal is only late
-- $4 bigint    milliseconds to look back; NULL: at all leases
SELECT count(*) > 0 AS found, (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint AS up_ms
FROM (
    SELECT FROM pgqueuer
    WHERE status = 'picked' AND entrypoint = ANY($1) AND NOT id = ANY($3)
      AND heartbeat < now() - $2 * interval '1 millisecond'
      AND heartbeat >= coalesce(now() - $4 * interval '1 millisecond', '-infinity')
    ORDER BY heartbeat LIMIT 1
) AS lost
