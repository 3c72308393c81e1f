-- The last row that `jobs_waiting` looks at; none where there are fewer.
--
-- $1 bigint  id, $2 bigint  rows to look at, $3 integer  priority, as there; $4 text  entrypoint
SELECT id::bigint AS id, priority
FROM (
    (SELECT id, priority FROM pgqueuer
     WHERE status = 'queued' AND entrypoint = ANY (ARRAY[$4::text]) AND priority = $3::integer AND id > $1
     ORDER BY entrypoint, priority DESC, id LIMIT $2)
    UNION ALL
    (SELECT id, priority FROM pgqueuer WHERE status = 'queued' AND entrypoint = ANY (ARRAY[$4::text]) AND priority < $3::integer
     ORDER BY entrypoint, priority DESC, id LIMIT $2)
) AS q OFFSET $2 - 1 LIMIT 1
