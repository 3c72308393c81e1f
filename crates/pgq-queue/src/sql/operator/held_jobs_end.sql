-- The last row that `held_jobs` looks at; none where there are fewer.
--
-- $1 bigint  with an id below this; $2 bigint  rows to look at
-- $3 text    of this entrypoint; NULL: of all
WITH RECURSIVE name AS (
    (SELECT q.entrypoint FROM pgqueuer AS q WHERE q.status = 'failed' AND $3::text IS NULL ORDER BY q.entrypoint LIMIT 1)
    UNION ALL
    SELECT (SELECT q.entrypoint FROM pgqueuer AS q WHERE q.status = 'failed' AND q.entrypoint > name.entrypoint
            ORDER BY q.entrypoint LIMIT 1)
    FROM name WHERE name.entrypoint IS NOT NULL
)
SELECT held.id::bigint AS id
FROM (SELECT entrypoint FROM name WHERE entrypoint IS NOT NULL UNION ALL SELECT $3::text) AS wanted
CROSS JOIN LATERAL (
    SELECT q.id FROM pgqueuer AS q
    WHERE q.status = 'failed' AND q.entrypoint = wanted.entrypoint AND q.id < $1
    ORDER BY q.entrypoint DESC, q.id DESC LIMIT $2
) AS held
ORDER BY held.id DESC OFFSET $2 - 1 LIMIT 1
