-- Claims due jobs of one entrypoint with a limit over all workers. A running job holds a slot; the unique index
-- over slots makes the limit airtight, against PgQueuer's workers too. No more rows are locked than slots are
-- free.
--
-- $1 text      entrypoint
-- $2 bigint    jobs at most
-- $3 uuid      this worker
-- $4 bigint    the limit: slots are 0 to $4 - 1
-- $5 bigint    the slot to begin the search at, so that workers do not race for the same one
-- $6 bigint    bytes that this host may hold beside what it holds now
-- $7 boolean   whether it holds none, so that one job of any size may be taken
-- $8 integer   bytes of a job that comes with its payload and headers; -1: none does
-- $9 text[]    entrypoints whose claims are not logged
--
-- One row for each job, in the order in which they are to run; a single row without one where nothing was claimed.
-- `too_heavy` and `too_many` count the jobs that were left because this host holds too many bytes, or because one
-- answer has no room for more.
WITH free AS MATERIALIZED (
    -- The gaps between taken slots, from $5 on and then before it. The windows have no order of their own, and the
    -- rows come in that of the index: sorting would read all of them first. The limits stop the search when there
    -- are enough.
    SELECT slot, row_number() OVER () AS rank FROM (
        SELECT slot FROM ((
            SELECT lag(slot, 1, $5::bigint - 1) OVER () + 1 AS first, slot - 1 AS last FROM (
                (SELECT slot FROM pgqueuer
                 WHERE entrypoint = $1 AND status = 'picked' AND slot >= $5::bigint AND slot < $4::bigint ORDER BY slot)
                UNION ALL SELECT $4::bigint
            ) AS taken
        ) UNION ALL (
            SELECT lag(slot, 1, 0::bigint - 1) OVER () + 1 AS first, slot - 1 AS last FROM (
                (SELECT slot FROM pgqueuer
                 WHERE entrypoint = $1 AND status = 'picked' AND slot >= 0::bigint AND slot < $5::bigint ORDER BY slot)
                UNION ALL SELECT $5::bigint
            ) AS taken
        )) AS gap
        CROSS JOIN LATERAL generate_series(gap.first, least(gap.last, gap.first + $2 - 1)) AS slot
        WHERE gap.first <= gap.last
        LIMIT $2
    ) AS f
), few AS MATERIALIZED (
    SELECT next.id, next.priority FROM unnest(ARRAY[$1::text]) AS served(entrypoint) CROSS JOIN LATERAL (
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
    WHERE (SELECT count(*) FROM few) >= 100 AND status = 'queued' AND entrypoint = $1 AND execute_after <= now()
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
           weight = 0 OR total <= $6::bigint OR ($7::boolean AND total = weight) AS is_light
    FROM (
        SELECT *, sum(weight) OVER so_far AS total, sum(sent) OVER so_far - sent AS ahead
        FROM (
            SELECT *, CASE WHEN bytes > 4096 THEN bytes ELSE 0 END AS weight,
                   CASE WHEN bytes > $8::integer OR (bytes > 4096 AND $6::bigint = 0) THEN 0 ELSE bytes END AS sent
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
    SET status = 'picked', updated = now(), heartbeat = clock_timestamp(), queue_manager_id = $3, slot = assigned.slot
    FROM assigned WHERE q.id = ANY (ARRAY[assigned.id])
    RETURNING q.id, q.priority, q.entrypoint, q.payload, q.headers, q.attempts, q.created, q.updated, q.execute_after,
              q.slot
), claim_logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, aggregated)
    SELECT id, 'picked'::pgqueuer_status, priority, entrypoint, /* IF tally */ true /* ELSE false */ FROM claimed
    WHERE entrypoint <> ALL ($9::text[])
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
               coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) <= $8::integer
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
FROM (
    SELECT count(*) FILTER (WHERE NOT is_light) AS too_heavy,
           count(*) FILTER (WHERE is_light AND NOT is_near) AS too_many
    FROM fit
) AS left_over LEFT JOIN job ON true
ORDER BY priority DESC, id ASC
