-- The last row that `jobs_running` looks at; none where there are fewer.
--
-- $1 bigint  id, $2 bigint  rows to look at, $3 timestamptz  time of the claim, as there
SELECT id::bigint AS id, greatest('0001-01-01 00:00Z', least(updated, '9999-12-31 23:59:59.999999Z')) AS at
FROM pgqueuer
WHERE status = 'picked' AND updated >= $3 AND (updated > $3 OR id < $1)
ORDER BY updated, id DESC OFFSET $2 - 1 LIMIT 1
