-- The key is the request's own: made before the database is asked, and sent again if the sign-up has to be.
WITH new AS (
    INSERT INTO users (name) VALUES ('Barbara') RETURNING name
)
INSERT INTO pgqueuer (priority, entrypoint, payload, headers, status)
SELECT 0, 'hello', convert_to(json_build_object('name', name)::text, 'UTF8'),
       json_build_object('idempotency-key', '7d0f4c1e-5f0b-4b8e-9a55-0c8a2f3f1b6d'), 'queued'
FROM new;
