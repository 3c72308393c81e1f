-- Puts jobs back into the queue, or holds them as failed.
--
-- $1 to $7       as in `finish`
-- $8 text[]      'queued' or 'failed'
-- $9 bigint[]    milliseconds until it is due again
-- $10 integer[]  failures to add
-- $11 text[]     traceback as JSON; NULL: none
-- $12 text[]     entrypoints whose claims are not logged; $13 text[] those whose successes are not logged either
-- $14 bigint[]  microseconds on a processor; $15 bigint[] bytes sent; $16 bigint[] received; $17 integer[] requests
-- $18 bytea[]   what the run printed, compressed; NULL: nothing to keep; $19 bigint[] bytes cut from it;
-- $20 bigint[]  milliseconds to keep it; $21 boolean[] whether the run failed
-- $22 text[]    this turn's place in its trace, for the next turn's; NULL: none
--
-- Returns the jobs that were still ours.
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::bigint[], $10::int[], $11::text[],
                         $14::bigint[], $15::bigint[], $16::bigint[], $17::int[],
                         $18::bytea[], $19::bigint[], $20::bigint[], $21::boolean[], $22::text[])
         AS d(id, claimed, attempt, plugin, elapsed_us, memory_bytes, status, delay_ms, failures, traceback,
              cpu_us, sent_bytes, received_bytes, requests, lines, cut, keep_ms, failed, trace)
), ours AS (
    UPDATE pgqueuer AS q
    SET status = done.status::pgqueuer_status, updated = now(), queue_manager_id = NULL, slot = NULL,
        attempts = least(q.attempts::bigint + done.failures, 2147483647)::int,
        -- A transaction that locked the row may have begun a while ago.
        execute_after = CASE done.status WHEN 'queued' THEN clock_timestamp() + done.delay_ms * interval '1 millisecond'
                                         ELSE q.execute_after END,
        -- Headers that are no object have no place for it.
        headers = CASE WHEN done.trace IS NULL OR jsonb_typeof(q.headers) NOT IN ('object', 'null') THEN q.headers
                       ELSE coalesce(nullif(q.headers, 'null'), '{}')
                            || jsonb_build_object('pgq-host', jsonb_build_object('previous', done.trace)) END
    FROM done
    WHERE q.id = ANY (ARRAY[done.id])
      /* IF marked */ AND q.updated IS NOT DISTINCT FROM done.claimed AND q.queue_manager_id IS NOT DISTINCT FROM $2
      AND q.status IS NOT DISTINCT FROM 'picked' /* ELSE AND q.status IS NOT DISTINCT FROM 'queued' AND $2::uuid IS NOT NULL */
    RETURNING done.*, q.priority, q.entrypoint, q.slot
), attempted AS (
    /* IF attempts */ INSERT INTO pgqueuer_attempt (job_id, attempt, plugin, elapsed_us, memory_bytes /* END */
        /* IF attempts figures */ , host, cpu_us, sent_bytes, received_bytes, requests /* END */
        /* IF attempts follow_ups */ , failed /* END */ /* IF attempts */ ) /* END */
    SELECT id, attempt, plugin, elapsed_us, memory_bytes
           /* IF figures */ , $2::uuid, cpu_us, sent_bytes, received_bytes, requests /* END */
           /* IF follow_ups */ , nullif(failures > 0, false) /* END */
    FROM ours
    WHERE plugin IS NOT NULL AND entrypoint <> ALL ($13::text[])
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
    WHERE (entrypoint <> ALL (CASE event.status WHEN 'picked' THEN $12::text[] WHEN 'successful' THEN $13 END)) IS NOT false
), tallied AS (
    /* IF tally */ INSERT INTO pgqueuer_tally (created, count, priority, status, entrypoint) /* END */
    SELECT date_trunc('sec', now()), count(*), priority, event.status, entrypoint
    FROM ours CROSS JOIN LATERAL (VALUES /* IF marked */ /* ELSE ('picked'), */ (ours.status)) AS event(status)
    GROUP BY priority, event.status, entrypoint
)
SELECT id::bigint FROM ours
