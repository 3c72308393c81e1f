-- Forgets the verdicts on one plugin, or those for one entrypoint's sake. A quarantine is lifted for its version
-- alone.
--
-- $1 text  plugin or entrypoint
DELETE FROM pgqueuer_verdict WHERE (name = $1 OR entrypoint = $1) AND rules <> 'quarantine'
