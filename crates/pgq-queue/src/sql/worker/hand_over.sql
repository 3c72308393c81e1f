-- Records final outcomes of one entrypoint with a limit, and claims as many due jobs of it as slots become free by
-- that. With two transactions the slot would stand empty between them, a tenth of the time when jobs are short.
--
-- $1 to $17    as in `finish_with_extras`
-- $18 text     entrypoint
-- $19 bigint   its limit; a slot beyond it, since the limit shrank, is not used again
-- $20 bigint   bytes that this host may hold beside what it holds now
-- $21 boolean  whether it holds none
-- $22 integer  bytes of a job that comes with its payload and headers
-- $23 text[]   entrypoints whose claims are not logged; $24 text[] those whose successes are not logged either
-- $25 bigint[]  microseconds on a processor; $26 bigint[] bytes sent; $27 bigint[] received; $28 integer[] requests
-- $29 bytea[]   what the run printed, compressed; NULL: nothing to keep; $30 bigint[] bytes cut from it;
-- $31 bigint[]  milliseconds to keep it; $32 boolean[] whether the run failed
--
-- A row for each claimed job, or a single one without; `ours` in each are the recorded jobs that were still ours.
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $8::text[], $9::text[], $10::bytea[],
                         $25::bigint[], $26::bigint[], $27::bigint[], $28::int[],
                         $29::bytea[], $30::bigint[], $31::bigint[], $32::boolean[])
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
    WHERE (entrypoint <> ALL (CASE event.status WHEN 'picked' THEN $23::text[] WHEN 'successful' THEN $24 END)) IS NOT false
    RETURNING job_id
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
    WHERE coalesce(plugin IS NOT NULL AND entrypoint <> ALL ($24::text[]), false)
), free AS MATERIALIZED (
    SELECT slot, row_number() OVER () AS rank FROM ours WHERE slot >= 0 AND slot < $19
), few AS MATERIALIZED (
    SELECT next.id, next.priority FROM unnest(ARRAY[$18::text]) AS served(entrypoint) CROSS JOIN LATERAL (
        SELECT id, priority FROM pgqueuer
        WHERE status = 'queued' AND entrypoint = served.entrypoint AND execute_after <= now()
        ORDER BY execute_after LIMIT 100
    ) AS next
    LIMIT 100
), of_few AS MATERIALIZED (
    SELECT q.id, q.priority, q.bytes
    FROM (SELECT id FROM few WHERE (SELECT count(*) FROM few) < 100 ORDER BY priority DESC, id ASC) AS f
    CROSS JOIN LATERAL (
        SELECT id, priority, coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) AS bytes
        FROM pgqueuer
        WHERE id = f.id AND status IS NOT DISTINCT FROM 'queued' AND execute_after <= now()
        FOR UPDATE SKIP LOCKED
    ) AS q
    LIMIT (SELECT count(*) FROM free)
), of_many AS MATERIALIZED (
    SELECT id, priority, coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) AS bytes
    FROM pgqueuer
    WHERE (SELECT count(*) FROM few) >= 100 AND status = 'queued' AND entrypoint = $18 AND execute_after <= now()
    ORDER BY priority DESC, id ASC
    LIMIT (SELECT count(*) FROM free)
    FOR UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT * FROM of_few UNION ALL SELECT * FROM of_many
), fit AS MATERIALIZED (
    -- Of the due jobs, in their order, those that fit into the answer and into what the host may hold. A job of up
    -- to 4,096 bytes is not counted and passes those that are too heavy; of these, none passes another. An answer
    -- has at most 512 KiB: the rows stay locked until it is sent, and that much fits into the buffers to a client
    -- that stopped reading.
    SELECT *, ahead < 524288 AS is_near,
           weight = 0 OR total <= $20::bigint OR ($21::boolean AND total = weight) AS is_light
    FROM (
        SELECT *, sum(weight) OVER so_far AS total, sum(sent) OVER so_far - sent AS ahead
        FROM (
            SELECT *, CASE WHEN bytes > 4096 THEN bytes ELSE 0 END AS weight,
                   CASE WHEN bytes > $22::integer OR (bytes > 4096 AND $20::bigint = 0) THEN 0 ELSE bytes END AS sent
            FROM due
        ) AS weighed WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
    ) AS summed
), assigned AS (
    SELECT next.id, free.slot
    FROM (
        SELECT id, row_number() OVER (ORDER BY priority DESC, id ASC) AS rank FROM fit WHERE is_light AND is_near
    ) AS next JOIN free USING (rank)
), claimed AS (
    UPDATE pgqueuer AS q
    -- The lease begins when the row is written. The statement may have waited for longer than a lease lasts.
    SET status = 'picked', updated = now(), heartbeat = clock_timestamp(), queue_manager_id = $2, slot = assigned.slot
    FROM assigned WHERE q.id = ANY (ARRAY[assigned.id])
    RETURNING q.id, q.priority, q.entrypoint, q.payload, q.headers, q.attempts, q.created, q.updated, q.execute_after,
              q.slot
), claim_logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated)
    SELECT id, 'picked'::pgqueuer_status, priority, entrypoint, /* IF tally */ true /* ELSE false */ FROM claimed
    -- The count orders the rows of the log: a slot is released before it is taken again.
    WHERE entrypoint <> ALL ($23::text[]) AND (SELECT count(*) FROM logged) >= 0
), claim_tallied AS (
    /* IF tally marked */ INSERT INTO pgqueuer_tally (created, count, priority, status, entrypoint) /* END */
    SELECT date_trunc('sec', now()), count(*), priority, 'picked', entrypoint FROM claimed
    GROUP BY priority, entrypoint
), job AS (
    SELECT id::bigint AS id, priority, entrypoint, attempts, updated, slot, bytes, is_inlined,
           /* IF marked */ /* ELSE greatest('0001-01-01 00:00Z', least(seen, '9999-12-31 23:59:59.999999Z')) AS seen, */
           greatest('0001-01-01 00:00Z', least(execute_after, '9999-12-31 23:59:59.999999Z')) AS execute_after,
           (extract(
               epoch FROM greatest('0001-01-01 00:00Z', least(created, '9999-12-31 23:59:59.999999Z'))
           ) * 1000)::bigint AS created_ms,
           CASE WHEN is_inlined THEN payload END AS payload, CASE WHEN is_inlined THEN headers::text END AS headers
    FROM (
        SELECT *, coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) AS bytes,
               coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) <= $22::integer
                   -- JSON null and empty objects; a number in a few bytes more can have 131,072 digits.
                   AND CASE WHEN coalesce(pg_column_size(headers), 0) <= 12 THEN true
                            ELSE octet_length(headers::text) <= 8192 END AS is_inlined
        -- OFFSET 0 keeps what is worked out here from being worked out again for each column above.
        FROM claimed OFFSET 0
    ) AS sized
)
SELECT *,
       -- Nearly always the table is empty, and one look at that answers for all jobs of the claim.
       /* IF suspects */ CASE WHEN (SELECT EXISTS (SELECT FROM pgqueuer_suspect)) THEN
           (SELECT CASE WHEN alone THEN 1 + crashes ELSE 0 END FROM pgqueuer_suspect WHERE job_id = job.id)
       END /* ELSE NULL::int */ AS suspicion
FROM (SELECT array_agg(id::bigint) AS ours FROM ours) AS recorded CROSS JOIN (
    SELECT count(*) FILTER (WHERE NOT is_light) AS too_heavy,
           count(*) FILTER (WHERE is_light AND NOT is_near) AS too_many
    FROM fit
) AS left_over LEFT JOIN job ON true
ORDER BY priority DESC, id ASC
