-- The beginnings of payloads of jobs that do not run, or all of them.
--
-- $1 bigint[]  jobs
-- $2 text[]    those with these statuses
-- $3 integer   bytes at most of each
SELECT q.id::bigint AS id, q.entrypoint, octet_length(q.payload)::bigint AS bytes,
       substring(q.payload FROM 1 FOR $3::integer) AS payload
FROM pgqueuer AS q
WHERE q.id = ANY($1) AND q.status::text = ANY($2::text[]) AND q.payload IS NOT NULL
ORDER BY q.id
