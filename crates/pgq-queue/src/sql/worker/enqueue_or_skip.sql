-- The same as `enqueue`, leaving out jobs whose dedupe key a queued or running job has.
--
-- $1 integer[] priorities; $2 text[] entrypoints; $3 bytea[] payloads; $4 bigint[] delays in milliseconds;
-- $5 text[] dedupe keys; $6 text[] headers as JSON
WITH new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT priority, entrypoint, payload, now() + delay_ms * interval '1 millisecond', dedupe_key,
           coalesce(headers, 'null')::jsonb, 'queued'::pgqueuer_status
    FROM unnest($1::int[], $2::text[], $3::bytea[], $4::bigint[], $5::text[], $6::text[]) WITH ORDINALITY
         AS n(priority, entrypoint, payload, delay_ms, dedupe_key, headers, ord)
    ORDER BY ord
    -- The predicate is that of the unique index.
    ON CONFLICT (dedupe_key) WHERE status = ANY (ARRAY['queued'::pgqueuer_status, 'picked'::pgqueuer_status])
        AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, priority, entrypoint
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::pgqueuer_status, priority, entrypoint FROM new
)
SELECT id::bigint FROM new ORDER BY id
