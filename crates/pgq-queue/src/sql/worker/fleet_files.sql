-- What the other living hosts serve. Hosts announce themselves every minute, give or take a quarter; one that
-- missed two is gone.
--
-- $1 uuid  this worker
SELECT plugins FROM pgqueuer_host WHERE id <> $1 AND seen > now() - interval '150 seconds'
/* IF deaths */ AND coalesce(died < seen, true) /* END */
