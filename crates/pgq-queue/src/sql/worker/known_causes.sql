-- Causes that are counted already.
--
-- $1 text[]  their keys
SELECT key, entrypoint, exception_type, message, frame, last_message, failures, first_seen, last_seen, examples,
       versions::text AS versions
FROM pgqueuer_cause WHERE key = ANY ($1::text[])
