-- Claims due jobs of entrypoints without a limit: highest priority first, oldest first. While fewer than 100 are
-- due they are found by the time at which they became due, so that no deferred job is read. Where more are due,
-- the index by priority finds them.
--
-- $1 text[]    entrypoints
-- $2 bigint    jobs at most
-- $3 uuid      this worker
-- $4 bigint    bytes that this host may hold beside what it holds now
-- $5 boolean   whether it holds none, so that one job of any size may be taken
-- $6 integer   bytes of a job that comes with its payload and headers; -1: none does
-- $7 integer   the least priority
-- $8 text[]    entrypoints whose claims are not logged
--
-- One row for each job, in the order in which they are to run; a single row without one where nothing was claimed.
-- `too_heavy` and `too_many` count the jobs that were left because this host holds too many bytes, or because one
-- answer has no room for more.
--
-- An order that one index has, and `= ANY (ARRAY[one])` for a join that only a look-up by key can make, leave the
-- planner one way. It believes that the queue is empty, which is true most of the time and makes the wrong plans
-- look free. The inner selects are CTEs of their own because the planner may otherwise run one again and claim
-- more than its limit.
WITH /* IF marked */ /* ELSE fleet AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM pgqueuer_host WHERE died > now() - interval '10 minutes') AS is_wary
), */ few AS MATERIALIZED (
    SELECT next.id, next.priority FROM unnest($1::text[]) AS served(entrypoint) CROSS JOIN LATERAL (
        SELECT id, priority FROM pgqueuer
        WHERE /* IF marked */ /* ELSE (SELECT NOT is_wary FROM fleet) AND */
              status = 'queued' AND entrypoint = served.entrypoint AND execute_after <= now()
        ORDER BY execute_after LIMIT 100
    ) AS next
    LIMIT 100
), of_few AS MATERIALIZED (
    SELECT q.*
    FROM (
        SELECT id FROM few WHERE (SELECT count(*) FROM few) < 100 AND priority >= $7 ORDER BY priority DESC, id ASC
    ) AS f
    CROSS JOIN LATERAL (
        SELECT id, priority, coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) AS bytes
               /* IF marked */ /* ELSE , entrypoint, payload, headers, attempts, created, updated, execute_after */
        FROM pgqueuer
        WHERE id = f.id AND status IS NOT DISTINCT FROM 'queued' AND execute_after <= now()
        FOR UPDATE SKIP LOCKED
    ) AS q
    LIMIT $2
), of_many AS MATERIALIZED (
    SELECT id, priority, coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) AS bytes
           /* IF marked */ /* ELSE , entrypoint, payload, headers, attempts, created, updated, execute_after */
    FROM pgqueuer
    WHERE (SELECT count(*) FROM few) >= 100 AND status = 'queued' AND entrypoint = ANY($1) AND execute_after <= now()
      AND priority >= $7
    ORDER BY priority DESC, id ASC
    LIMIT $2
    FOR UPDATE SKIP LOCKED
), due AS MATERIALIZED (
    SELECT * FROM of_few UNION ALL SELECT * FROM of_many
), fit AS MATERIALIZED (
    -- Of the due jobs, in their order, those that fit into the answer and into what the host may hold. A job of up
    -- to 4,096 bytes is not counted and passes those that are too heavy; of these, none passes another. An answer
    -- has at most 512 KiB: the rows stay locked until it is sent, and that much fits into the buffers to a client
    -- that stopped reading.
    SELECT *, ahead < 524288 AS is_near,
           weight = 0 OR total <= $4::bigint OR ($5::boolean AND total = weight) AS is_light
    FROM (
        SELECT *, sum(weight) OVER so_far AS total, sum(sent) OVER so_far - sent AS ahead
        FROM (
            SELECT *, CASE WHEN bytes > 4096 THEN bytes ELSE 0 END AS weight,
                   CASE WHEN bytes > $6::integer OR (bytes > 4096 AND $4::bigint = 0) THEN 0 ELSE bytes END AS sent
            FROM due
        ) AS weighed WINDOW so_far AS (ROWS UNBOUNDED PRECEDING)
    ) AS summed
), claimed AS (
    /* IF marked */ UPDATE pgqueuer AS q
    -- The lease begins when the row is written. The statement may have waited for longer than a lease lasts.
    SET status = 'picked', updated = now(), heartbeat = clock_timestamp(), queue_manager_id = $3, slot = NULL
    FROM fit WHERE fit.is_light AND fit.is_near AND q.id = ANY (ARRAY[fit.id])
    RETURNING q.id, q.priority, q.entrypoint, q.payload, q.headers, q.attempts, q.created, q.updated, q.execute_after,
              q.slot
    /* ELSE SELECT id, priority, entrypoint, payload, headers, attempts, created, now() AS updated, execute_after,
                   NULL::int AS slot, updated AS seen
            FROM fit WHERE is_light AND is_near AND $3::uuid IS NOT NULL */
), claim_logged AS (
    /* IF marked */ INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated) /* END */
    SELECT id, 'picked'::pgqueuer_status, priority, entrypoint, /* IF tally */ true /* ELSE false */ FROM claimed
    WHERE entrypoint <> ALL ($8::text[])
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
               coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) <= $6::integer
                   -- JSON null and empty objects; a number in a few bytes more can have 131,072 digits.
                   AND CASE WHEN coalesce(pg_column_size(headers), 0) <= 12 THEN true
                            ELSE octet_length(headers::text) <= 8192 END AS is_inlined
        -- OFFSET 0 keeps what is worked out here from being worked out again for each column above.
        FROM claimed OFFSET 0
    ) AS sized
)
SELECT *, /* IF marked */ /* ELSE (SELECT is_wary FROM fleet) AS is_wary, */
       -- Nearly always the table is empty, and one look at that answers for all jobs of the claim.
       /* IF suspects */ CASE WHEN (SELECT EXISTS (SELECT FROM pgqueuer_suspect)) THEN
           (SELECT CASE WHEN alone THEN 1 + crashes ELSE 0 END FROM pgqueuer_suspect WHERE job_id = job.id)
       END /* ELSE NULL::int */ AS suspicion
FROM (
    SELECT count(*) FILTER (WHERE NOT is_light) AS too_heavy,
           count(*) FILTER (WHERE is_light AND NOT is_near) AS too_many,
           -- Jobs that are due and were not taken are locked by others.
           (SELECT count(*) FROM few WHERE priority >= $7) > (SELECT count(*) FROM due)
               AND (SELECT count(*) FROM due) < $2 AS is_contended
    FROM fit
) AS left_over LEFT JOIN job ON true
ORDER BY priority DESC, id ASC
