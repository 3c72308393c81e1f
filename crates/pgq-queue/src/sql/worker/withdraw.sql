-- Removes this host's row.
--
-- $1 uuid  this worker
DELETE FROM pgqueuer_host WHERE id = $1
