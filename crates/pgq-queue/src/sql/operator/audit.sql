-- What was done by hand, the latest first, by the key.
--
-- $1 bigint  rows at most
-- $2 bigint  with an id below this
SELECT id::bigint AS id, greatest('0001-01-01 00:00Z', least(at, '9999-12-31 23:59:59.999999Z')) AS at, action,
       author, role, reason, filter::text AS filter, jobs
FROM pgqueuer_audit WHERE id < $2 ORDER BY id DESC LIMIT $1
