-- What was counted into PgQueuer's statistics in the last five minutes, for its metric of that name, if it is this
-- worker's turn as for the depth of the queue. Of the newest rows of the statistics; the 200 busiest entrypoints, and
-- all others together.
--
-- $1 uuid              this worker
-- $2 double precision  seconds within which a living host has announced itself
-- $3 bigint            rows to look at
WITH turn AS MATERIALIZED (
    SELECT id = $1 AS mine FROM pgqueuer_host WHERE seen > now() - $2 * interval '1 second' ORDER BY started, id LIMIT 1
), counted AS MATERIALIZED (
    SELECT s.entrypoint, s.status, sum(s.count) AS count
    FROM (SELECT entrypoint, status, count, created FROM pgqueuer_statistics ORDER BY id DESC
          LIMIT CASE WHEN (SELECT mine FROM turn) THEN $3::bigint ELSE 0 END) AS s
    WHERE s.created > now() - interval '5 minutes'
    GROUP BY s.entrypoint, s.status
), place AS (
    SELECT entrypoint, row_number() OVER (ORDER BY sum(count) DESC, entrypoint) AS place FROM counted GROUP BY entrypoint
)
SELECT CASE WHEN place.place <= 200 THEN counted.entrypoint ELSE 'other' END AS entrypoint, counted.status::text AS status,
       sum(counted.count)::bigint AS count
FROM counted JOIN place USING (entrypoint)
GROUP BY 1, 2
