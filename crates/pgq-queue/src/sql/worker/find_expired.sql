-- Whether any lease has run out. Nearly always none has, and nothing is written then: PgQueuer's trigger would
-- wake every worker after a DELETE of no rows, too. The server's clock and its age come with it. A worker that
-- waits for work asks for more, so that it needs no poll beside this: whether others hold any job at all, and when
-- the next one is due.
--
-- $1 text[]    entrypoints
-- $2 bigint    milliseconds that a lease lasts
-- $3 bigint[]  jobs that this worker holds, whose renewal is only late
-- $4 bigint    milliseconds to look back; NULL: at all leases
-- $5 boolean   whether to look at the leases that have not run out, too
-- $6 text[]    entrypoints whose next job is waited for
SELECT coalesce(oldest < now() - $2 * interval '1 millisecond', false) AS found, oldest IS NOT NULL AS held,
       (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS clock_ms,
       (extract(epoch FROM clock_timestamp() - pg_postmaster_start_time()) * 1000)::bigint AS up_ms,
       (SELECT (extract(epoch FROM min(next.due) - now()) * 1000)::bigint
        FROM unnest($6::text[]) AS awaited(entrypoint), LATERAL (
            SELECT greatest('0001-01-01 00:00Z', least(execute_after, '9999-12-31 23:59:59.999999Z')) AS due
            FROM pgqueuer
            WHERE status = 'queued' AND entrypoint = awaited.entrypoint
            ORDER BY execute_after LIMIT 1
        ) AS next) AS due_ms
FROM (
    SELECT min(heartbeat) AS oldest FROM (
        SELECT heartbeat FROM pgqueuer
        WHERE status = 'picked' AND entrypoint = ANY($1) AND NOT id = ANY($3)
          AND heartbeat < CASE WHEN $5::boolean THEN 'infinity' ELSE now() - $2 * interval '1 millisecond' END
          AND heartbeat >= coalesce(now() - $4 * interval '1 millisecond', '-infinity')
        ORDER BY heartbeat LIMIT 1
    ) AS first
) AS leases
