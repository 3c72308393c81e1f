-- What was logged since some minutes ago, by minute of the clock, entrypoint and status, and how much of it in the last
-- minute and the last five. From what is counted already: PgQueuer's statistics, and the tally that is not in them yet.
-- The index of the statistics begins with the priority, so each priority is one look-up in it.
--
-- $1 bigint  rows to count at most, the newest of each priority
-- $2 bigint  the first minute, since 1970
-- $3 bigint  rows to return at most
WITH RECURSIVE level AS (
    (SELECT s.priority FROM pgqueuer_statistics AS s ORDER BY s.priority LIMIT 1)
    UNION ALL
    SELECT (SELECT s.priority FROM pgqueuer_statistics AS s WHERE s.priority > level.priority
            ORDER BY s.priority LIMIT 1)
    FROM level WHERE level.priority IS NOT NULL
), counted AS (
    (SELECT s.created, s.status, s.entrypoint, s.count
     FROM (SELECT priority FROM level WHERE priority IS NOT NULL LIMIT 1000) AS level
     CROSS JOIN LATERAL (
         SELECT s.created, s.status, s.entrypoint, s.count FROM pgqueuer_statistics AS s
         WHERE s.priority = level.priority
           AND date_trunc('sec', timezone('UTC', s.created)) >= timezone('UTC', to_timestamp($2::bigint * 60))
         ORDER BY s.priority DESC, date_trunc('sec', timezone('UTC', s.created)) DESC LIMIT $1
     ) AS s
     LIMIT $1)
    /* IF tally */ UNION ALL
    SELECT t.created, t.status::pgqueuer_status, t.entrypoint, t.count
    FROM (SELECT created, status, entrypoint, count FROM pgqueuer_tally ORDER BY id LIMIT $1) AS t
    WHERE t.created >= to_timestamp($2::bigint * 60) /* END */
)
SELECT minute::bigint AS minute, entrypoint, status::text AS status, jobs, jobs_five, jobs_one, rows
FROM (
    SELECT floor(date_part('epoch', created) / 60) AS minute, entrypoint, status, sum(count)::bigint AS jobs,
           coalesce(sum(count) FILTER (WHERE created > now() - interval '5 minutes'), 0)::bigint AS jobs_five,
           coalesce(sum(count) FILTER (WHERE created > now() - interval '1 minute'), 0)::bigint AS jobs_one,
           count(*) AS rows
    FROM counted GROUP BY 1, 2, 3
) AS grouped
LIMIT $3
