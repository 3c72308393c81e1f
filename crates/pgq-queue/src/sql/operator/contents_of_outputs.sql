-- The beginnings of outputs, or all of them.
--
-- $1 bigint[]  jobs
-- $2 integer   bytes at most of each
SELECT o.job_id::bigint AS id, o.entrypoint, octet_length(o.output)::bigint AS bytes,
       substring(o.output FROM 1 FOR $2::integer) AS content
FROM pgqueuer_output AS o
WHERE o.job_id = ANY($1) AND o.output IS NOT NULL
ORDER BY o.job_id
