-- Forgets the verdicts on one plugin, or those for one entrypoint's sake.
--
-- $1 text  plugin or entrypoint
DELETE FROM pgqueuer_verdict WHERE name = $1 OR entrypoint = $1
