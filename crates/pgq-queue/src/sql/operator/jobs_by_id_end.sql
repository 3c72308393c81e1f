-- The last row that `jobs_by_id` looks at; none where there are fewer.
--
-- $1 bigint  with an id below this; $2 bigint  rows to look at
SELECT id::bigint AS id FROM pgqueuer WHERE id < $1 ORDER BY id DESC OFFSET $2 - 1 LIMIT 1
