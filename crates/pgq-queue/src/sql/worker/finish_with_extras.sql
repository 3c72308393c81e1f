-- Records jobs that leave the queue with a traceback, an output or follow-up jobs: all of it, or nothing.
--
-- $1 to $7        as in `finish`
-- $8 text[]       status
-- $9 text[]       traceback as JSON; NULL: none
-- $10 bytea[]     output; NULL: none
-- $11 bigint[]    job that each follow-up belongs to
-- $12 integer[] priorities; $13 text[] entrypoints; $14 bytea[] payloads; $15 bigint[] delays in milliseconds;
-- $16 text[] dedupe keys; $17 text[] headers as JSON
-- $18 text[]      entrypoints whose claims are not logged; $19 text[] those whose successes are not logged either
-- $20 bigint[]  microseconds on a processor; $21 bigint[] bytes sent; $22 bigint[] received; $23 integer[] requests
-- $24 bytea[]   what the run printed, compressed; NULL: nothing to keep; $25 bigint[] bytes cut from it;
-- $26 bigint[]  milliseconds to keep it; $27 boolean[] whether the run failed
--
-- Returns the jobs that were still ours. Follow-ups of a job that is not ours any more are not enqueued. Those of
-- a job that is are inserted after its row is deleted (hence the join), so they may reuse its dedupe key.
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::text[], $10::bytea[],
                         $20::bigint[], $21::bigint[], $22::bigint[], $23::int[],
                         $24::bytea[], $25::bigint[], $26::bigint[], $27::boolean[])
         AS d(id, claimed, attempt, plugin, elapsed_us, memory_bytes, status, traceback, output,
              cpu_us, sent_bytes, received_bytes, requests, lines, cut, keep_ms, failed)
), ours AS (
    DELETE FROM pgqueuer AS q USING done
    WHERE q.id = ANY (ARRAY[done.id])
      /* IF marked */ AND q.updated IS NOT DISTINCT FROM done.claimed AND q.queue_manager_id IS NOT DISTINCT FROM $2
      AND q.status IS NOT DISTINCT FROM 'picked' /* ELSE AND q.status IS NOT DISTINCT FROM 'queued' AND $2::uuid IS NOT NULL */
    RETURNING done.*, q.priority, q.entrypoint, q.slot
), printed AS (
    /* IF lines */ INSERT INTO pgqueuer_lines (until, job_id, attempt, failed, entrypoint, cut, lines) /* END */
    SELECT now() + keep_ms * interval '1 millisecond', id, attempt, failed, entrypoint, cut, lines
    FROM ours WHERE lines IS NOT NULL
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback, aggregated, created)
    SELECT id, event.status, priority, entrypoint, event.traceback, /* IF tally */ true /* ELSE false */, event.at
    FROM ours CROSS JOIN LATERAL (VALUES
        /* IF marked */ /* ELSE ('picked'::pgqueuer_status, NULL::jsonb, claimed), */
        (ours.status::pgqueuer_status, ours.traceback::jsonb, clock_timestamp())
    ) AS event(status, traceback, at)
    -- Other outcomes are logged whatever the entrypoint.
    WHERE (entrypoint <> ALL (CASE event.status WHEN 'picked' THEN $18::text[] WHEN 'successful' THEN $19 END)) IS NOT false
), tallied AS (
    /* IF tally */ INSERT INTO pgqueuer_tally (created, count, priority, status, entrypoint) /* END */
    SELECT date_trunc('sec', now()), count(*), priority, event.status, entrypoint
    FROM ours CROSS JOIN LATERAL (VALUES /* IF marked */ /* ELSE ('picked'), */ (ours.status)) AS event(status)
    GROUP BY priority, event.status, entrypoint
), kept AS (
    INSERT INTO pgqueuer_output (job_id, entrypoint, output)
    SELECT id, entrypoint, output FROM ours WHERE output IS NOT NULL
    ON CONFLICT (job_id) DO UPDATE SET output = EXCLUDED.output, entrypoint = EXCLUDED.entrypoint, created = now()
), wanted AS MATERIALIZED (
    SELECT f.* FROM unnest($11::bigint[], $12::int[], $13::text[], $14::bytea[], $15::bigint[], $16::text[], $17::text[])
         WITH ORDINALITY AS f(parent, priority, entrypoint, payload, delay_ms, dedupe_key, headers, ord)
    JOIN ours ON ours.id = f.parent
), new AS (
    INSERT INTO pgqueuer (priority, entrypoint, payload, execute_after, dedupe_key, headers, status)
    SELECT f.priority, f.entrypoint, f.payload,
           clock_timestamp() + f.delay_ms * interval '1 millisecond', f.dedupe_key,
           coalesce(f.headers, 'null')::jsonb, 'queued'::pgqueuer_status
    FROM wanted AS f
    ORDER BY f.ord
    -- The predicate is that of the unique index.
    ON CONFLICT (dedupe_key) WHERE status = ANY (ARRAY['queued'::pgqueuer_status, 'picked'::pgqueuer_status])
        AND dedupe_key IS NOT NULL DO NOTHING
    RETURNING id, priority, entrypoint, dedupe_key
), new_logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint)
    SELECT id, 'queued'::pgqueuer_status, priority, entrypoint FROM new
), placed AS (
    -- The new rows are those that were wanted, in their order, without those whose dedupe key was taken: by a row that
    -- is not new, or by one before them.
    SELECT parent, array_agg(id ORDER BY id) AS follow_ups
    FROM (
        SELECT parent, (SELECT array_agg(id ORDER BY id) FROM new)[row_number() OVER (ORDER BY ord)] AS id
        FROM (SELECT *, row_number() OVER (PARTITION BY dedupe_key ORDER BY ord) AS nth FROM wanted) AS w
        WHERE dedupe_key IS NULL
           OR nth = 1 AND dedupe_key IN (SELECT dedupe_key FROM new WHERE dedupe_key IS NOT NULL)
    ) AS p
    GROUP BY parent
), attempted AS (
    /* IF attempts */ INSERT INTO pgqueuer_attempt (job_id, attempt, plugin, elapsed_us, memory_bytes /* END */
        /* IF attempts figures */ , host, cpu_us, sent_bytes, received_bytes, requests /* END */
        /* IF attempts follow_ups */ , failed, follow_ups /* END */ /* IF attempts */ ) /* END */
    SELECT id, attempt, plugin, elapsed_us, memory_bytes
           /* IF figures */ , $2::uuid, cpu_us, sent_bytes, received_bytes, requests /* END */
           /* IF follow_ups */ , nullif(status = 'exception', false), follow_ups /* END */
    -- FULL, because PostgreSQL does that by hashing, and not for each row of one by all of the other.
    FROM ours /* IF follow_ups */ FULL JOIN placed ON placed.parent = ours.id /* END */
    -- Not said more simply: a condition on one side would make a LEFT JOIN of it.
    WHERE coalesce(plugin IS NOT NULL AND entrypoint <> ALL ($19::text[]), false)
)
SELECT id::bigint FROM ours
