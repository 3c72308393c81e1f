-- Counts the log into PgQueuer's statistics: rows of the log that nobody counted, and the tally of what hosts
-- wrote.
--
-- $1 bigint  rows of the log at most
-- $2 bigint  rows of the tally at most
--
-- It counts what it has marked or taken away itself, so two of these at once, or one beside PgQueuer's, wait for
-- each other's rows and then find them gone. (PgQueuer 1.6 counts first and marks then, and two readers count
-- twice.) The lock is that of PgQueuer's periodic task: who does not get it leaves the work to whoever has it.
WITH turn AS MATERIALIZED (
    SELECT pg_try_advisory_xact_lock(hashtext('pgqueuer_statistics')) AS mine
), batch AS MATERIALIZED (
    SELECT id FROM pgqueuer_log WHERE NOT aggregated AND (SELECT mine FROM turn) LIMIT $1 FOR UPDATE SKIP LOCKED
), marked AS (
    UPDATE pgqueuer_log AS l SET aggregated = true FROM batch WHERE l.id = ANY (ARRAY[batch.id])
    RETURNING l.entrypoint, l.priority, l.status, date_trunc('sec', l.created) AS second
), /* IF tally */ tallies AS MATERIALIZED (
    SELECT id FROM pgqueuer_tally WHERE (SELECT mine FROM turn) LIMIT $2 FOR UPDATE SKIP LOCKED
), taken AS (
    DELETE FROM pgqueuer_tally AS t USING tallies WHERE t.id = ANY (ARRAY[tallies.id])
    RETURNING t.entrypoint, t.priority, t.status::pgqueuer_status, t.created AS second, t.count
) /* ELSE taken AS (
    SELECT entrypoint, priority, status, created AS second, count FROM pgqueuer_statistics WHERE $2::bigint < 0
) */, counted AS (
    INSERT INTO pgqueuer_statistics AS s (created, count, priority, status, entrypoint)
    SELECT second, sum(count), priority, status, entrypoint
    FROM (SELECT *, 1 AS count FROM marked UNION ALL SELECT * FROM taken) AS added
    GROUP BY second, priority, status, entrypoint
    ORDER BY second, priority, status, entrypoint
    ON CONFLICT (priority, date_trunc('sec', timezone('UTC', created)), status, entrypoint)
    DO UPDATE SET count = s.count + EXCLUDED.count
)
SELECT (SELECT mine FROM turn), (SELECT count(*) FROM marked), (SELECT count(*) FROM taken)
