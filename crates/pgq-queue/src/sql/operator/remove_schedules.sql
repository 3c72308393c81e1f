-- Removes schedules.
--
-- $1 bigint[] ids; $2 text[] entrypoints
DELETE FROM pgqueuer_schedules WHERE id = ANY($1) OR entrypoint = ANY($2) RETURNING id::bigint AS id, entrypoint
