-- Which of PgQueuer's statistics may go, among the next by id. Changes nothing and locks nothing.
--
-- $1 bigint    behind this id
-- $2 bigint    rows to look at, at most
-- $3 bigint    milliseconds: rows of this age are looked at
-- $4 text[]    rules, the most specific first: the entrypoint, or null for any
-- $5 bigint[]  milliseconds that statistics are kept, or null for ever
WITH ahead AS MATERIALIZED (
    SELECT id, created, entrypoint FROM pgqueuer_statistics WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint
), aged AS (
    SELECT id, created < now() - $3::bigint * interval '1 millisecond' AS is_old FROM ahead
), ends AS MATERIALIZED (
    SELECT max(id) AS last, coalesce(max(id) FILTER (WHERE is_old), 0) = max(id) AS is_old,
           min(id) FILTER (WHERE NOT is_old) AS young
    FROM aged
), beyond AS (
    SELECT created FROM pgqueuer_statistics
    WHERE NOT (SELECT is_old FROM ends) AND id > (SELECT last FROM ends) ORDER BY id LIMIT $2::bigint
), young AS (
    SELECT young AS id FROM ends
    WHERE NOT is_old AND NOT EXISTS (SELECT FROM beyond WHERE created < now() - $3::bigint * interval '1 millisecond')
), passed AS MATERIALIZED (
    SELECT id, created, entrypoint FROM ahead WHERE id < coalesce((SELECT id FROM young), 9223372036854775807)
), doomed AS (
    SELECT entrypoint, array_agg(id) AS ids, greatest('0001-01-01 00:00Z', min(created)) AS oldest FROM passed
    WHERE created < now() - (
        SELECT rule.age FROM unnest($4::text[], $5::bigint[]) AS rule (entrypoint, age)
        WHERE rule.entrypoint IS NULL OR rule.entrypoint = passed.entrypoint
        LIMIT 1
    ) * interval '1 millisecond'
    GROUP BY entrypoint
)
SELECT coalesce(walk.id, $1::bigint) AS next, walk.count < $2::bigint AS is_end,
       0::bigint AS uncounted, doomed.entrypoint, NULL::text AS outcome, doomed.ids, doomed.oldest
FROM (SELECT max(id) AS id, count(*) AS count FROM passed) AS walk LEFT JOIN doomed ON true
