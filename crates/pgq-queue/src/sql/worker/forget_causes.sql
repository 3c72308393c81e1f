-- Removes causes that did not occur for a long time, and the oldest if there are too many.
--
-- $1 bigint  milliseconds
-- $2 bigint  causes that are kept
DELETE FROM pgqueuer_cause
WHERE last_seen < greatest(now() - $1::bigint * interval '1 millisecond',
                           (SELECT c.last_seen FROM pgqueuer_cause AS c ORDER BY c.last_seen DESC OFFSET $2 LIMIT 1))
