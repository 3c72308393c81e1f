-- Hosts whose sessions all ended without a word in the last while: they died, or are cut off from the database. One that is back
-- is not gone.
--
-- $1 bigint  milliseconds back
-- $2 bigint  hosts at most
SELECT h.id, h.name, h.pid, h.version,
       greatest('0001-01-01 00:00Z', least(h.seen, '9999-12-31 23:59:59.999999Z')) AS seen,
       greatest('0001-01-01 00:00Z', least(h.died, '9999-12-31 23:59:59.999999Z')) AS died
FROM pgqueuer_host AS h
WHERE h.died >= h.seen AND h.died > now() - $1::bigint * interval '1 millisecond'
  -- Whoever was started there afterwards is in its place.
  AND NOT EXISTS (SELECT FROM pgqueuer_host AS n WHERE n.name = h.name AND n.started > h.died)
ORDER BY h.died DESC, h.name
LIMIT $2
