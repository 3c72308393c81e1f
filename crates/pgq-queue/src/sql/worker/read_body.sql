-- Reads payload and headers of a job that was claimed without them. Only under this very claim; nothing is locked.
--
-- $1 bigint       job
-- $2 timestamptz  claim
-- $3 uuid         this worker
-- $4 bigint       bytes of headers at most; larger ones are not sent
SELECT q.payload, octet_length(q.headers::text)::bigint AS headers_bytes,
       CASE WHEN octet_length(q.headers::text) <= $4::bigint THEN q.headers::text END AS headers
FROM pgqueuer AS q
WHERE q.id = $1 AND q.updated IS NOT DISTINCT FROM $2 AND q.queue_manager_id IS NOT DISTINCT FROM $3
  AND q.status IS NOT DISTINCT FROM 'picked'
