-- PgQueuer's statistics, the newest rows first, with what is logged and not counted yet: what its own tool counts
-- before it looks, without writing anything.
--
-- $1 bigint  rows at most
-- $2 bigint  not older than so many milliseconds; NULL: of any age
-- $3 bigint  rows to look at in each table
WITH pending AS (
    SELECT date_trunc('sec', one.created) AS created, one.entrypoint, one.priority, one.status,
           sum(one.count)::bigint AS count
    FROM (
        (SELECT l.created, l.entrypoint, l.priority, l.status::text AS status, 1::bigint AS count
         FROM pgqueuer_log AS l WHERE NOT l.aggregated LIMIT $3::bigint)
        /* IF tally */ UNION ALL
        (SELECT t.created, t.entrypoint, t.priority, t.status, t.count
         FROM pgqueuer_tally AS t ORDER BY t.id LIMIT $3::bigint) /* END */
    ) AS one
    GROUP BY 1, 2, 3, 4
), counted AS (
    SELECT s.id, date_trunc('sec', s.created) AS created, s.entrypoint, s.priority, s.status::text AS status, s.count
    FROM pgqueuer_statistics AS s ORDER BY s.id DESC LIMIT $3::bigint
)
SELECT (coalesce(counted.count, 0) + coalesce(pending.count, 0))::bigint AS count,
       greatest('0001-01-01 00:00Z', least(created, '9999-12-31 23:59:59.999999Z')) AS created,
       entrypoint, priority, status
FROM counted FULL JOIN pending USING (created, entrypoint, priority, status)
WHERE $2::bigint IS NULL OR created > now() - $2 * interval '1 millisecond'
ORDER BY counted.id DESC NULLS FIRST, created DESC, entrypoint, priority, status
LIMIT $1::bigint
