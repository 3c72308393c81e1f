-- Enqueues a job; where a queued or running one has its dedupe key, raises that one's priority instead. That job
-- keeps everything else and gets no row in the log. `xmax` is 0 in a row that was inserted.
--
-- $1 integer[] priorities; $2 text[] entrypoints; $3 bytea[] payloads; $4 bigint[] delays in milliseconds;
-- $5 text[] dedupe keys; $6 text[] headers as JSON
WITH placed AS (
    INSERT INTO pgqueuer AS job (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT priority, entrypoint, payload, now() + delay_ms * interval '1 millisecond', dedupe_key,
           coalesce(headers, 'null')::jsonb, 'queued'::pgqueuer_status
    FROM unnest($1::int[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[])
         AS n(priority, entrypoint, payload, delay_ms, dedupe_key, headers)
    -- The predicate is that of the unique index.
    ON CONFLICT (dedupe_key) WHERE status = ANY (ARRAY['queued'::pgqueuer_status, 'picked'::pgqueuer_status])
        AND dedupe_key IS NOT NULL
        DO UPDATE SET priority = greatest(job.priority, EXCLUDED.priority)
    RETURNING job.id, job.priority, job.entrypoint, job.xmax = 0 AS is_new
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::pgqueuer_status, priority, entrypoint FROM placed WHERE is_new
)
SELECT id::bigint AS id, priority, is_new FROM placed
