-- The milliseconds until the next job is due, none or less for one that is; NULL where there is none. One index look-up per entrypoint.
--
-- $1 text[]    entrypoints
-- $2 bigint[]  milliseconds, per entrypoint: how far back to include jobs that are due already; NULL: all of them
SELECT (extract(epoch FROM min(next.due) - now()) * 1000)::bigint
FROM unnest($1::text[], $2::bigint[]) AS served(entrypoint, back_ms), LATERAL (
    SELECT greatest('0001-01-01 00:00Z', least(execute_after, '9999-12-31 23:59:59.999999Z')) AS due FROM pgqueuer
    WHERE status = 'queued' AND entrypoint = served.entrypoint
      AND execute_after >= coalesce(now() - served.back_ms * interval '1 millisecond', '-infinity')
    ORDER BY execute_after LIMIT 1
) AS next
