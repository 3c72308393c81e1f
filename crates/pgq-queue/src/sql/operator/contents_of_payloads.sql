-- The beginnings of payloads of jobs that do not run, or all of them.
--
-- $1 bigint[]  jobs
-- $2 integer   bytes at most of each
SELECT q.id::bigint AS id, q.entrypoint, octet_length(q.payload)::bigint AS bytes,
       substring(q.payload FROM 1 FOR $2::integer) AS content
FROM pgqueuer AS q
WHERE q.id = ANY($1) AND q.status::text IN ('queued', 'failed') AND q.payload IS NOT NULL
ORDER BY q.id
