-- Whether the queue is kept up, for metrics, if it is this worker's turn as for its depth: how late schedules are, how
-- far PgQueuer's statistics are behind, about, and which hosts are there.
--
-- $1 uuid              this worker
-- $2 double precision  seconds within which a living host has announced itself
WITH turn AS MATERIALIZED (
    SELECT id = $1 AS mine FROM pgqueuer_host WHERE seen > now() - $2 * interval '1 second' ORDER BY started, id LIMIT 1
), host AS MATERIALIZED (
    SELECT seen > now() - $2 * interval '1 second' AS is_new,
           /* IF deaths */ coalesce(died >= seen, false) AS is_dead, died > now() - interval '10 minutes' AS is_news
           /* ELSE false AS is_dead, false AS is_news */
    FROM pgqueuer_host
)
SELECT coalesce((SELECT extract(epoch FROM now() - min(greatest('0001-01-01 00:00Z', s.next_run))) FROM pgqueuer_schedules AS s WHERE s.next_run < now()),
                0)::float8 AS schedules_lag,
       coalesce(extract(epoch FROM now() - least(
           (SELECT min(greatest('0001-01-01 00:00Z', least(l.created, now()))) FROM (SELECT created FROM pgqueuer_log WHERE NOT aggregated LIMIT 1000) AS l)
           /* IF tally */ , (SELECT greatest('0001-01-01 00:00Z', least(t.created, now())) FROM pgqueuer_tally AS t ORDER BY t.id LIMIT 1) /* END */
       )), 0)::float8 AS statistics_lag,
       (SELECT count(*) FROM host WHERE is_new AND NOT is_dead) AS alive,
       (SELECT count(*) FROM host WHERE CASE WHEN is_dead THEN is_news ELSE NOT is_new END) AS died
FROM turn WHERE mine
