-- Removes old attempts. The BRIN index finds them; the session allows bitmap scans for this statement alone.
--
-- $1 bigint  milliseconds
DELETE FROM pgqueuer_attempt WHERE created < now() - $1::bigint * interval '1 millisecond'
