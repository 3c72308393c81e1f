-- Which rows of the log may go: the next rows by id are looked at, and the jobs that they are about are judged.
-- Changes nothing and locks nothing, so that a plan is the same judgement as what removes.
--
-- $1 bigint    behind this id
-- $2 bigint    rows to look at, at most; up to four times as many may go
-- $3 bigint    milliseconds: rows of this age are looked at
-- $4 text[]    rules, the most specific first: the entrypoint, or null for any
-- $5 text[]    the outcome, or null for any
-- $6 bigint[]  milliseconds that the log is kept, or null for ever
--
-- A job's log goes whole, when its last row is old enough, and never while the job is in the queue: a held job's
-- traceback is there. The last row is the outcome. Where a row is not counted into the statistics, the job's log stays,
-- and so it does beyond the bound: the same jobs are judged again, and the last row goes last.
--
-- A job is judged where its last row is passed. Ids are in the order of time, but for what a wrong clock wrote. So the
-- end is at the first row that is too young, unless old ones are close behind it.
WITH ahead AS MATERIALIZED (
    SELECT id, created, job_id FROM pgqueuer_log WHERE id > $1::bigint ORDER BY id LIMIT $2::bigint
), aged AS (
    SELECT id, created < now() - $3::bigint * interval '1 millisecond' AS is_old FROM ahead
), ends AS MATERIALIZED (
    SELECT max(id) AS last, coalesce(max(id) FILTER (WHERE is_old), 0) = max(id) AS is_old,
           min(id) FILTER (WHERE NOT is_old) AS young
    FROM aged
), beyond AS (
    SELECT created FROM pgqueuer_log
    WHERE NOT (SELECT is_old FROM ends) AND id > (SELECT last FROM ends) ORDER BY id LIMIT $2::bigint
), young AS (
    SELECT young AS id FROM ends
    WHERE NOT is_old AND NOT EXISTS (SELECT FROM beyond WHERE created < now() - $3::bigint * interval '1 millisecond')
), passed AS MATERIALIZED (
    SELECT id, job_id FROM ahead WHERE id < coalesce((SELECT id FROM young), 9223372036854775807)
), ended AS MATERIALIZED (
    SELECT job_id, last.*
    FROM (SELECT DISTINCT job_id FROM passed) AS seen
    CROSS JOIN LATERAL (
        SELECT id, created, entrypoint, status::text AS outcome FROM pgqueuer_log WHERE job_id = seen.job_id
        ORDER BY job_id, created DESC, id DESC LIMIT 1
    ) AS last
    WHERE (SELECT id FROM pgqueuer WHERE id = seen.job_id) IS NULL
), due AS MATERIALIZED (
    SELECT job_id, created, entrypoint, outcome FROM ended
    WHERE id <= (SELECT max(id) FROM passed) AND created < now() - (
        SELECT rule.age FROM unnest($4::text[], $5::text[], $6::bigint[]) AS rule (entrypoint, outcome, age)
        WHERE (rule.entrypoint IS NULL OR rule.entrypoint = ended.entrypoint)
          AND (rule.outcome IS NULL OR rule.outcome = ended.outcome)
        LIMIT 1
    ) * interval '1 millisecond'
), found AS MATERIALIZED (
    SELECT due.job_id, due.entrypoint, due.outcome, l.id, l.created, l.aggregated IS TRUE AS counted
    FROM due CROSS JOIN LATERAL (
        SELECT id, created, aggregated FROM pgqueuer_log WHERE job_id = due.job_id ORDER BY job_id DESC, created LIMIT $2::bigint * 4
    ) AS l
    LIMIT $2::bigint * 4
), doomed AS (
    SELECT f.entrypoint, f.outcome, array_agg(f.id) AS ids, greatest('0001-01-01 00:00Z', min(f.created)) AS oldest
    FROM found AS f
    WHERE f.job_id <> ALL (ARRAY(SELECT job_id FROM found WHERE NOT counted))
    GROUP BY f.entrypoint, f.outcome
), walk AS (
    SELECT (SELECT count(*) FROM found) = $2::bigint * 4 AND EXISTS (SELECT FROM doomed) AS is_cut,
           (SELECT count(*) FROM passed) < $2::bigint AS is_short, (SELECT max(id) FROM passed) AS passed
)
SELECT CASE WHEN walk.is_cut THEN $1::bigint ELSE coalesce(walk.passed, $1::bigint) END AS next,
       NOT walk.is_cut AND walk.is_short AS is_end,
       (SELECT count(*) FROM found WHERE NOT counted) AS uncounted,
       doomed.entrypoint, doomed.outcome, doomed.ids, doomed.oldest
FROM walk LEFT JOIN doomed ON true
