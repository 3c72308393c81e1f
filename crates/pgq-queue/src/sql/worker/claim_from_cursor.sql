-- Claims due jobs of entrypoints without a limit that come after the one that was claimed last, so that dead rows
-- at the front are not read again.
--
-- $1 text[]    entrypoints
-- $2 bigint    jobs at most
-- $3 uuid      this worker
-- $4 bigint    bytes that this host may hold beside what it holds now
-- $5 boolean   whether it holds none, so that one job of any size may be taken
-- $6 integer   bytes of a job that comes with its payload and headers; -1: none does
-- $7 integer   priority of the job that was claimed last
-- $8 bigint    its id
-- $9 text[]    entrypoints whose claims are not logged
-- $10 boolean  whether to look at rows that somebody has locked, now or before
--
-- One row for each job, in the order in which they are to run; a single row without one where nothing was claimed.
-- `too_heavy` and `too_many` count the jobs that were left because this host holds too many bytes, or because one
-- answer has no room for more.
WITH /* IF marked */ /* ELSE fleet AS MATERIALIZED (
    SELECT EXISTS (SELECT FROM pgqueuer_host WHERE died > now() - interval '10 minutes') AS is_wary
), */ due AS MATERIALIZED (
    SELECT id, priority, coalesce(octet_length(payload), 0) + coalesce(pg_column_size(headers), 0) AS bytes
           /* IF marked */ /* ELSE , entrypoint, payload, headers, attempts, created, updated, execute_after */
    FROM pgqueuer
    WHERE /* IF marked */ /* ELSE (SELECT NOT is_wary FROM fleet) AND */ status = 'queued' AND entrypoint = ANY($1) AND execute_after <= now() AND priority = $7 AND id > $8
      -- To find a row locked costs as much as to claim it. In a fleet most of the next rows are: xmax tells of it for
      -- free. A transaction that ended without a write leaves its mark there as well; a full scan claims such rows.
      AND ($10::boolean OR xmax = '0')
    ORDER BY priority DESC, id ASC
    LIMIT $2
    FOR UPDATE SKIP LOCKED
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
           count(*) FILTER (WHERE is_light AND NOT is_near) AS too_many
    FROM fit
) AS left_over LEFT JOIN job ON true
ORDER BY priority DESC, id ASC
