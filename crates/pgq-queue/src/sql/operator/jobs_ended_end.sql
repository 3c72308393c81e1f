-- The last row that `jobs_ended` looks at; none where there are fewer.
--
-- $1 bigint  id of the log, $2 bigint  rows to look at, $3 timestamptz  time, as there
SELECT id::bigint AS id, greatest('0001-01-01 00:00Z', least(created, '9999-12-31 23:59:59.999999Z')) AS at
FROM pgqueuer_log
WHERE created <= $3 AND (created < $3 OR id < $1)
ORDER BY created DESC, id DESC OFFSET $2 - 1 LIMIT 1
