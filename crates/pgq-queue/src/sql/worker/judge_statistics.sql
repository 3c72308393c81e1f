-- Which of PgQueuer's statistics may go, among the next by id. Changes nothing and locks nothing.
--
-- $1 bigint    behind this id
-- $2 bigint    rows to look at, at most
-- $3 bigint    milliseconds: rows of this age are looked at
-- $4 text[]    rules, the most specific first: the entrypoint, or null for any
-- $5 bigint[]  milliseconds that statistics are kept, or null for ever
WITH ahead AS MATERIALIZED (
    SELECT id, created, entrypoint FROM pgqueuer_statistics WHERE id > $1 ORDER BY id LIMIT $2
), aged AS (
    SELECT id, created < now() - $3 * interval '1 millisecond' AS is_old FROM ahead
), young AS (
    SELECT CASE WHEN max(id) FILTER (WHERE is_old) = max(id) THEN NULL ELSE min(id) FILTER (WHERE NOT is_old) END AS id
    FROM aged
), passed AS MATERIALIZED (
    SELECT id, created, entrypoint FROM ahead WHERE id < (SELECT coalesce(id, 9223372036854775807) FROM young)
), doomed AS (
    SELECT entrypoint, array_agg(id) AS ids, greatest('0001-01-01 00:00Z', min(created)) AS oldest FROM passed
    WHERE created < now() - (
        SELECT rule.age FROM unnest($4::text[], $5::bigint[]) AS rule (entrypoint, age)
        WHERE rule.entrypoint IS NULL OR rule.entrypoint = passed.entrypoint
        LIMIT 1
    ) * interval '1 millisecond'
    GROUP BY entrypoint
)
SELECT coalesce(walk.id, $1) AS next, walk.count < $2 AS is_end,
       0::bigint AS uncounted, doomed.entrypoint, NULL::text AS outcome, doomed.ids, doomed.oldest
FROM (SELECT max(id) AS id, count(*) AS count FROM passed) AS walk LEFT JOIN doomed ON true
