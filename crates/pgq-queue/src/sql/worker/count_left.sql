-- How many jobs of these entrypoints are left, for people.
--
-- $1 text[]  entrypoints
SELECT entrypoint,
       count(*) FILTER (WHERE status = 'queued') AS queued, count(*) FILTER (WHERE status = 'picked') AS picked
FROM pgqueuer WHERE status IN ('queued', 'picked') AND entrypoint = ANY($1) GROUP BY entrypoint
