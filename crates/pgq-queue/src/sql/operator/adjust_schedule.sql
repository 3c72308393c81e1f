-- Changes how hosts run a schedule, and tells them. No row: there is no such schedule.
--
-- $1 bigint       schedule
-- $2 boolean      whether its ticks are skipped; NULL: as before
-- $3 boolean      whether $4 counts
-- $4 text         the expression by which it runs instead; NULL: as declared
-- $5 timestamptz  its next tick; NULL: as it is
-- $6 boolean      whether $5 counts only if the next tick is overdue
-- $7 text         reason; $8 text author
-- $9 text         command to the hosts
WITH schedule AS (
    SELECT id, expression, entrypoint FROM pgqueuer_schedules WHERE id = $1 FOR UPDATE
), adjusted AS (
    INSERT INTO pgqueuer_adjustment AS a (expression, entrypoint, paused, replaced, reason, author, role)
    SELECT expression, entrypoint, coalesce($2, false), CASE WHEN $3 THEN $4 END, $7, $8, session_user FROM schedule
    ON CONFLICT (expression, entrypoint) DO UPDATE
    SET paused = coalesce($2, a.paused), replaced = CASE WHEN $3 THEN $4 ELSE a.replaced END,
        reason = EXCLUDED.reason, author = EXCLUDED.author, role = EXCLUDED.role, changed = now()
    RETURNING paused, replaced
), moved AS (
    UPDATE pgqueuer_schedules AS s SET next_run = $5, updated = now() FROM schedule
    WHERE s.id = schedule.id AND s.status = 'queued' AND $5::timestamptz IS NOT NULL AND (NOT $6 OR s.next_run <= now())
)
SELECT schedule.expression, schedule.entrypoint, adjusted.paused, adjusted.replaced,
       pg_notify('ch_pgqueuer_host', $9)
FROM schedule, adjusted
