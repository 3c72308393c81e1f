-- Moves ticks back after the server's clock went back. The row is as it was seen, and was last written at a time
-- that is still to come: so its next tick was reckoned from that time, too, and not put off by an operator.
--
-- $1 bigint[] schedules; $2 timestamptz[] `next_run` as seen; $3 timestamptz[] the tick that is next by the clock
UPDATE pgqueuer_schedules AS s SET next_run = back.next, updated = now()
FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS back(id, seen, next)
WHERE s.id = back.id AND s.next_run = back.seen AND s.status = 'queued'
  AND greatest(s.last_run, s.updated) > now() + interval '5 seconds'
