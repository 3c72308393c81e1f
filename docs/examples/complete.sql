-- One job in a second's time, unless one with this key is queued or running. Gives its id, or no row if there is one.
WITH job AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    VALUES (
        5,                                                      -- the higher, the sooner
        'hello',
        convert_to(json_build_object('name', 'Edsger')::text, 'UTF8'),
        now() + interval '1 second',                            -- not before
        'welcome-edsger',                                       -- NULL for none
        '{"trace": "4bf92f35"}',                                -- a JSON object, or NULL; nothing else
        'queued'
    )
    ON CONFLICT (dedupe_key) WHERE status IN ('queued', 'picked') AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, priority, entrypoint
)
INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
SELECT id, 'queued', priority, entrypoint FROM job
RETURNING job_id;
