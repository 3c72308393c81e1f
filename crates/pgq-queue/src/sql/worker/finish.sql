-- Records jobs that succeeded and leave nothing behind: the common case, with nothing in it that this case does
-- not need.
--
-- $1 bigint[]       jobs
-- $2 uuid           this worker
-- $3 timestamptz[]  their claims
-- $4 integer[]      number of the attempt; NULL: there was no run
-- $5 bigint[]       key of the plugin's version
-- $6 bigint[]       microseconds that the run took
-- $7 bigint[]       peak of its memory in bytes
-- $8 text[]         entrypoints whose claims are not logged
-- $9 text[]         entrypoints whose successes are not logged either, nor their attempts
-- $10 bigint[]  microseconds on a processor; $11 bigint[] bytes sent; $12 bigint[] received; $13 integer[] requests
--
-- Returns the jobs that were still ours. There is one way to run `ours`: for each outcome, the row by its primary
-- key. `= ANY (ARRAY[one])` is no join by hashing or merging, and no other index can serve IS NOT DISTINCT FROM.
-- Statistics of a queue table are as good as never true; left the choice, PostgreSQL now and then read all rows
-- that a worker holds for each outcome: 0.7 to 2.2 s for 1,000 of them, against 3 ms.
WITH done AS (
    SELECT * FROM unnest($1::bigint[], $3::timestamptz[], $4::int[], $5::bigint[], $6::bigint[], $7::bigint[],
                         $10::bigint[], $11::bigint[], $12::bigint[], $13::int[])
         AS d(id, claimed, attempt, plugin, elapsed_us, memory_bytes,
              cpu_us, sent_bytes, received_bytes, requests)
), ours AS (
    DELETE FROM pgqueuer AS q USING done
    WHERE q.id = ANY (ARRAY[done.id])
      /* IF marked */ AND q.updated IS NOT DISTINCT FROM done.claimed AND q.queue_manager_id IS NOT DISTINCT FROM $2
      AND q.status IS NOT DISTINCT FROM 'picked' /* ELSE AND q.status IS NOT DISTINCT FROM 'queued' AND $2::uuid IS NOT NULL */
    RETURNING done.*, q.priority, q.entrypoint, q.slot
), attempted AS (
    /* IF attempts */ INSERT INTO pgqueuer_attempt (job_id, attempt, plugin, elapsed_us, memory_bytes /* END */
        /* IF attempts figures */ , host, cpu_us, sent_bytes, received_bytes, requests /* END */ /* IF attempts */ ) /* END */
    SELECT id, attempt, plugin, elapsed_us, memory_bytes
           /* IF figures */ , $2::uuid, cpu_us, sent_bytes, received_bytes, requests /* END */
    FROM ours
    WHERE plugin IS NOT NULL AND entrypoint <> ALL ($9::text[])
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated, created)
    SELECT id, event.status, priority, entrypoint, /* IF tally */ true /* ELSE false */, event.at
    FROM ours CROSS JOIN LATERAL (VALUES
        /* IF marked */ /* ELSE ('picked'::pgqueuer_status, claimed), */
        ('successful'::pgqueuer_status, clock_timestamp())
    ) AS event(status, at)
    -- Other outcomes are logged whatever the entrypoint.
    WHERE (entrypoint <> ALL (CASE event.status WHEN 'picked' THEN $8::text[] WHEN 'successful' THEN $9 END)) IS NOT false
), tallied AS (
    /* IF tally */ INSERT INTO pgqueuer_tally (created, count, priority, status, entrypoint) /* END */
    SELECT date_trunc('sec', now()), count, priority, event.status, entrypoint
    FROM (SELECT count(*), priority, entrypoint FROM ours GROUP BY priority, entrypoint) AS counted
        CROSS JOIN (VALUES /* IF marked */ /* ELSE ('picked'), */ ('successful')) AS event(status)
)
SELECT id::bigint FROM ours
