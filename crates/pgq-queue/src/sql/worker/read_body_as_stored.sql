-- The same as `read_body`, with the headers as the bytes that are stored: to the encoding SQL_ASCII nothing is
-- converted.
--
-- $1 bigint       job
-- $2 timestamptz  claim
-- $3 uuid         this worker
-- $4 bigint       bytes of headers at most; larger ones are not sent
SELECT q.payload, octet_length(convert_to(q.headers::text, 'SQL_ASCII'))::bigint AS headers_bytes,
       CASE WHEN octet_length(convert_to(q.headers::text, 'SQL_ASCII')) <= $4::bigint
            THEN convert_to(q.headers::text, 'SQL_ASCII') END AS headers
FROM pgqueuer AS q
WHERE q.id = $1 AND q.updated IS NOT DISTINCT FROM $2 AND q.queue_manager_id IS NOT DISTINCT FROM $3
  AND q.status IS NOT DISTINCT FROM 'picked'
