-- Where a walk through a table would go on. Changes nothing.
--
-- $1 text    the walk
-- $2 bigint  milliseconds after which it begins anew
SELECT coalesce(max(position), 0) FROM pgqueuer_retention
WHERE walk = $1 AND begun >= now() - $2::bigint * interval '1 millisecond'
