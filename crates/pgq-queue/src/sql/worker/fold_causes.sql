-- Writes causes as they are counted now. Nobody else writes them: this host has the turn.
--
-- $1 text[] keys; $2 text[] entrypoints; $3 text[] types; $4 text[] messages; $5 text[] frames; $6 text[] last messages
-- $7 bigint[] failures; $8 timestamptz[] first seen; $9 timestamptz[] last seen; $10 text[] jobs, as arrays; $11 text[] versions, as JSON
INSERT INTO pgqueuer_cause (key, entrypoint, exception_type, message, frame, last_message, failures, first_seen, last_seen,
                            examples, versions)
SELECT key, entrypoint, exception_type, message, frame, last_message, failures, first_seen, last_seen,
       examples::bigint[], versions::jsonb
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::timestamptz[],
            $9::timestamptz[], $10::text[], $11::text[])
     AS c(key, entrypoint, exception_type, message, frame, last_message, failures, first_seen, last_seen, examples, versions)
ON CONFLICT (key) DO UPDATE
SET last_message = EXCLUDED.last_message, failures = EXCLUDED.failures, first_seen = EXCLUDED.first_seen,
    last_seen = EXCLUDED.last_seen, examples = EXCLUDED.examples, versions = EXCLUDED.versions
