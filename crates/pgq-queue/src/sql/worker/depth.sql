-- How much is queued, per entrypoint, for metrics. Of the hosts that announced themselves lately, it is the turn
-- of the one that has been there longest. The others' answer is no row, and costs no look at the queue. The 200
-- longest queues; all others are one row.
--
-- $1 uuid              this worker
-- $2 double precision  seconds within which a living host has announced itself
WITH turn AS MATERIALIZED (
    SELECT id = $1 AS mine FROM pgqueuer_host WHERE seen > now() - $2 * interval '1 second' ORDER BY started, id LIMIT 1
), grouped AS (
    SELECT q.entrypoint, row_number() OVER (ORDER BY count(*) DESC, q.entrypoint) AS place,
           count(*) FILTER (WHERE q.status = 'queued' AND q.execute_after <= now()) AS due,
           count(*) FILTER (WHERE q.status = 'queued' AND q.execute_after > now()) AS deferred,
           count(*) FILTER (WHERE q.status = 'picked') AS running,
           count(*) FILTER (WHERE q.status = 'failed') AS held,
           min(greatest('0001-01-01 00:00Z', q.execute_after, least(q.created, now())))
               FILTER (WHERE q.status = 'queued' AND q.execute_after <= now()) AS due_since,
           min(greatest('0001-01-01 00:00Z', least(q.updated, now()))) FILTER (WHERE q.status = 'picked') AS running_since,
           min(greatest('0001-01-01 00:00Z', least(q.updated, now()))) FILTER (WHERE q.status = 'failed') AS held_since
    FROM pgqueuer AS q
    WHERE (SELECT mine FROM turn)
    GROUP BY q.entrypoint
)
SELECT CASE WHEN place <= 200 THEN entrypoint ELSE 'other' END AS entrypoint,
       sum(due)::bigint AS due, sum(deferred)::bigint AS deferred, sum(running)::bigint AS running, sum(held)::bigint AS held,
       coalesce(extract(epoch FROM now() - min(due_since)), 0)::float8 AS oldest_seconds,
       coalesce(extract(epoch FROM now() - min(running_since)), 0)::float8 AS oldest_running_seconds,
       coalesce(extract(epoch FROM now() - min(held_since)), 0)::float8 AS oldest_held_seconds
FROM grouped
GROUP BY 1
