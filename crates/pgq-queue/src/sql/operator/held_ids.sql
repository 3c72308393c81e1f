-- The ids of held jobs.
--
-- $1 text[]  of these entrypoints; NULL: of all
SELECT id::bigint FROM pgqueuer WHERE status = 'failed' AND ($1::text[] IS NULL OR entrypoint = ANY($1)) ORDER BY id
