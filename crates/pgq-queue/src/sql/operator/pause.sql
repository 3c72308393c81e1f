-- Pauses something, or changes how it is paused, and tells the hosts.
--
-- $1 text  subject; $2 text  kind; $3 text  name; $4 text  reason; $5 text  author
-- $6 bigint   milliseconds until it goes on by itself; NULL: when it is resumed
-- $7 boolean  whether ticks of its schedules are skipped
-- $8 text     command to the hosts
WITH paused AS (
    INSERT INTO pgqueuer_pause AS p (subject, kind, name, reason, author, role, until, skip_ticks)
    VALUES ($1, $2, $3, $4, $5, session_user, now() + $6::bigint * interval '1 millisecond', $7)
    ON CONFLICT (subject) DO UPDATE
    SET reason = EXCLUDED.reason, author = EXCLUDED.author, role = EXCLUDED.role, paused = now(), until = EXCLUDED.until,
        skip_ticks = EXCLUDED.skip_ticks
    RETURNING until
)
SELECT until, pg_notify('ch_pgqueuer_host', $8) FROM paused
