-- Puts jobs back whose lease had run out when `find_expired` looked, whoever holds them.
--
-- $1 text[]     entrypoints
-- $2 integer[]  per entrypoint, workers that a job may end while it runs alone
-- $3 boolean[]  per entrypoint, whether a job that failed for good is held
-- $4 bigint     milliseconds that a lease lasts
-- $5 bigint[]   jobs that this worker holds
-- $6 bigint     the server's clock when it was looked, in milliseconds since 1970. A statement that was under way while
--               the server stood still is the first to run when it goes on: by `now()`, every lease has run out then.
-- $7 text       digits of which new ids are made, for traces in which the turns that were lost are shown, and to which
--               the next ones are linked; NULL: there are none
--
-- Losing its worker is no failure of a job: most of a worker's jobs had no part in it, and many had not even
-- begun. They go back into the queue, are suspects from then on, and only one that was running alone is charged.
-- Past its limit it fails for good, with the evidence in its log. (That a run had begun is known of suspects
-- only.)
WITH rule AS (
    SELECT * FROM unnest($1::text[], $2::int[], $3::bool[]) AS r(entrypoint, most, hold)
), lost AS MATERIALIZED (
    SELECT q.id, q.queue_manager_id AS worker, q.heartbeat, q.updated AS claimed, q.attempts, rule.most, rule.hold,
           q.headers #>> '{otel,traceparent}' AS parent, q.headers #>> '{pgq-host,previous}' AS previous,
           -- In the trace of whoever created the job, or of its turns so far.
           '00-' || coalesce(substring(q.headers #>> '{otel,traceparent}' FROM '^[0-9a-f]{2}-([0-9a-f]{32})-'),
                             substring(q.headers #>> '{pgq-host,previous}' FROM '^[0-9a-f]{2}-([0-9a-f]{32})-'),
                             left(encode(sha256(convert_to($7::text || ' trace ' || q.id, 'UTF8')), 'hex'), 32))
               || '-' || left(encode(sha256(convert_to($7 || ' turn ' || q.id, 'UTF8')), 'hex'), 16) || '-01' AS turn
    FROM pgqueuer AS q JOIN rule USING (entrypoint)
    WHERE q.status = 'picked' AND NOT q.id = ANY($5)
      AND q.heartbeat < least(now(), timestamptz 'epoch' + $6 * interval '1 millisecond')
                        - $4 * interval '1 millisecond'
    ORDER BY q.id LIMIT 1000
    FOR UPDATE OF q SKIP LOCKED
), /* IF suspects */ judged AS MATERIALIZED (
    SELECT *, crashes < most AS again, attempts::bigint + 1 AS attempt,
           CASE WHEN crashes < most THEN ''
                ELSE format('; this job ran alone on %s workers that were lost', crashes) END AS charge,
           jsonb_build_object('crashes', crashes, 'max_crashes', most, 'began_alone', began AND was_alone) AS context
    FROM (
        SELECT lost.*, coalesce(past.began, false) AS began, coalesce(past.alone, false) AS was_alone,
               coalesce(past.crashes + (past.began AND past.alone)::int, 0) AS crashes
        FROM lost LEFT JOIN LATERAL (
            SELECT coalesce(claim = lost.claimed, false) AS began, alone, crashes FROM pgqueuer_suspect
            WHERE job_id = ANY (ARRAY[lost.id])
        ) AS past ON true
    ) AS known
), suspected AS (
    -- A job that had begun alone is charged, one that had begun among a few is to be run alone next, and one that
    -- had not begun is as it was. A job that is held keeps its place among them: should it be requeued, it begins
    -- alone.
    INSERT INTO pgqueuer_suspect (job_id, worker, alone, crashes)
    SELECT id, worker, began OR was_alone, CASE WHEN again THEN crashes ELSE 0 END FROM judged WHERE again OR hold
    ON CONFLICT (job_id) DO UPDATE
    SET lost = now(), worker = EXCLUDED.worker, claim = NULL, alone = EXCLUDED.alone, crashes = EXCLUDED.crashes
) /* ELSE judged AS MATERIALIZED (
    SELECT *, attempts AS attempt, attempts < most AS again, '' AS charge, '{}'::jsonb AS context
    FROM (
        SELECT id, worker, heartbeat, claimed, parent, previous, turn, most, hold,
               least(attempts::bigint + 1, 2147483647)::int AS attempts FROM lost
    ) AS counted
) */, kept AS (
    UPDATE pgqueuer AS q
    SET status = CASE WHEN judged.again THEN 'queued' ELSE 'failed' END::pgqueuer_status,
        attempts = judged.attempts, updated = now(), queue_manager_id = NULL, slot = NULL,
        -- Headers that are no object have no place for it.
        headers = CASE WHEN judged.turn IS NULL OR jsonb_typeof(q.headers) NOT IN ('object', 'null') THEN q.headers
                       ELSE coalesce(nullif(q.headers, 'null'), '{}')
                            || jsonb_build_object('pgq-host', jsonb_build_object('previous', judged.turn)) END
    FROM judged WHERE q.id = ANY (ARRAY[judged.id]) AND (judged.again OR judged.hold)
    RETURNING q.id, q.status, q.priority, q.entrypoint, judged.worker, judged.attempt::bigint, judged.parent,
              judged.previous, judged.turn, judged.claimed
), gone AS (
    DELETE FROM pgqueuer AS q USING judged
    WHERE q.id = ANY (ARRAY[judged.id]) AND NOT (judged.again OR judged.hold)
    RETURNING q.id, 'exception'::pgqueuer_status AS status, q.priority, q.entrypoint, judged.worker,
              judged.attempt::bigint, judged.parent, judged.previous, judged.turn, judged.claimed
), touched AS (
    SELECT * FROM kept UNION ALL SELECT * FROM gone
), logged AS (
    INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
    SELECT touched.id, touched.status, touched.priority, touched.entrypoint, jsonb_build_object(
        'job_id', touched.id,
        'timestamp', now(),
        'exception_type', 'WorkerLost',
        'exception_message',
        format('worker %s sent no heartbeat since %s', judged.worker, judged.heartbeat) || judged.charge,
        'traceback', '',
        'additional_context', judged.context || jsonb_build_object(
            'entrypoint', touched.entrypoint, 'queue_manager_id', judged.worker, 'attempt', judged.attempt))
    FROM touched JOIN judged USING (id)
)
SELECT id::bigint AS id, entrypoint, status::text AS status, worker, attempt, parent, previous, turn,
       greatest('0001-01-01 00:00Z', least(claimed, now())) AS claimed, now() AS noticed
FROM touched
