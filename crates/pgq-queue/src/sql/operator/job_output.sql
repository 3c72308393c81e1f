-- What one job returned, by its key.
--
-- $1 bigint   job
-- $2 integer  bytes at most
SELECT greatest('0001-01-01 00:00Z', least(o.created, '9999-12-31 23:59:59.999999Z')) AS at, o.entrypoint,
       octet_length(o.output)::bigint AS bytes, substring(o.output FROM 1 FOR $2::integer) AS output
FROM pgqueuer_output AS o WHERE o.job_id = $1
