-- Which outputs may go, among the next by job. Changes nothing and locks nothing.
--
-- $1 bigint    behind this job
-- $2 bigint    rows to look at, at most
-- $3 bigint    milliseconds: rows of this age are looked at
-- $4 text[]    rules, the most specific first: the entrypoint, or null for any
-- $5 bigint[]  milliseconds that outputs are kept, or null for ever
--
-- Outputs are not quite in the order of time: a job may have been deferred. So the end is where none of them is old.
WITH ahead AS MATERIALIZED (
    SELECT job_id, created, entrypoint FROM pgqueuer_output WHERE job_id > $1::bigint ORDER BY job_id LIMIT $2::bigint
), passed AS MATERIALIZED (
    SELECT max(job_id) AS id FROM ahead WHERE created < now() - $3::bigint * interval '1 millisecond'
), doomed AS (
    SELECT entrypoint, array_agg(job_id) AS ids, greatest('0001-01-01 00:00Z', min(created)) AS oldest FROM ahead
    WHERE created < now() - (
        SELECT rule.age FROM unnest($4::text[], $5::bigint[]) AS rule (entrypoint, age)
        WHERE rule.entrypoint IS NULL OR rule.entrypoint = ahead.entrypoint
        LIMIT 1
    ) * interval '1 millisecond'
    GROUP BY entrypoint
)
SELECT coalesce(passed.id, $1::bigint) AS next, passed.id IS NULL OR (SELECT count(*) FROM ahead) < $2::bigint AS is_end,
       0::bigint AS uncounted, doomed.entrypoint, NULL::text AS outcome, doomed.ids, doomed.oldest
FROM passed LEFT JOIN doomed ON true
