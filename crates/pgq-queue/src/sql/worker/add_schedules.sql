-- Adds rows for schedules that have none.
--
-- $1 text[] expressions; $2 text[] entrypoints; $3 timestamptz[] when they are due
INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run)
SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[])
ON CONFLICT (expression, entrypoint) DO NOTHING
