-- What the queue holds of each entrypoint that waits, is held or is named, in the order of the names. Each name is one
-- look-up in an index, and the counts together go on only so far: a long queue costs no more than a short one.
--
-- $1 text    names after this one; NULL: from the first
-- $2 bigint  names at most
-- $3 bigint  jobs to count, of all names together; but 100 of each in any case, and not more than 10,000
-- $4 text    this name alone; NULL: all
-- $5 text[]  names that are wanted anyway
WITH RECURSIVE waiting AS (
    -- One of the two: with a condition on the parameter as well, it would be no condition for the index.
    SELECT entrypoint FROM (
        (SELECT q.entrypoint FROM pgqueuer AS q
         WHERE q.status = 'queued' AND $1::text IS NULL AND $4::text IS NULL ORDER BY q.entrypoint LIMIT 1)
        UNION ALL
        (SELECT q.entrypoint FROM pgqueuer AS q
         WHERE q.status = 'queued' AND q.entrypoint > $1 AND $4::text IS NULL ORDER BY q.entrypoint LIMIT 1)
    ) AS first
    UNION ALL
    SELECT (SELECT q.entrypoint FROM pgqueuer AS q WHERE q.status = 'queued' AND q.entrypoint > waiting.entrypoint
            ORDER BY q.entrypoint LIMIT 1)
    FROM waiting WHERE waiting.entrypoint IS NOT NULL
), held AS (
    SELECT entrypoint FROM (
        (SELECT q.entrypoint FROM pgqueuer AS q
         WHERE q.status = 'failed' AND $1::text IS NULL AND $4::text IS NULL ORDER BY q.entrypoint LIMIT 1)
        UNION ALL
        (SELECT q.entrypoint FROM pgqueuer AS q
         WHERE q.status = 'failed' AND q.entrypoint > $1 AND $4::text IS NULL ORDER BY q.entrypoint LIMIT 1)
    ) AS first
    UNION ALL
    SELECT (SELECT q.entrypoint FROM pgqueuer AS q WHERE q.status = 'failed' AND q.entrypoint > held.entrypoint
            ORDER BY q.entrypoint LIMIT 1)
    FROM held WHERE held.entrypoint IS NOT NULL
), name AS MATERIALIZED (
    SELECT entrypoint FROM (
        (SELECT entrypoint FROM waiting WHERE entrypoint IS NOT NULL LIMIT $2)
        UNION
        (SELECT entrypoint FROM held WHERE entrypoint IS NOT NULL LIMIT $2)
        UNION
        SELECT entrypoint FROM unnest($5::text[]) AS named(entrypoint)
        WHERE $4::text IS NULL AND ($1::text IS NULL OR entrypoint > $1)
        UNION
        SELECT $4::text WHERE $4::text IS NOT NULL
    ) AS one
    ORDER BY entrypoint LIMIT $2
), enough AS MATERIALIZED (
    SELECT least(10000, greatest(100, $3::bigint / greatest(count(*), 1))) AS jobs FROM name
)
SELECT name.entrypoint, due.jobs AS due, deferred.jobs AS deferred, kept.jobs AS held, enough.jobs AS enough,
       extract(epoch FROM now() - oldest.since)::float8 AS oldest_seconds
FROM name CROSS JOIN enough
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM (
        SELECT FROM pgqueuer AS q
        WHERE q.status = 'queued' AND q.entrypoint = name.entrypoint AND q.execute_after <= now()
        ORDER BY q.execute_after LIMIT (SELECT jobs + 1 FROM enough)
    ) AS few
) AS due
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM (
        SELECT FROM pgqueuer AS q
        WHERE q.status = 'queued' AND q.entrypoint = name.entrypoint AND q.execute_after > now()
        ORDER BY q.execute_after LIMIT (SELECT jobs + 1 FROM enough)
    ) AS few
) AS deferred
CROSS JOIN LATERAL (
    SELECT count(*) AS jobs FROM (
        SELECT FROM pgqueuer AS q WHERE q.status = 'failed' AND q.entrypoint = name.entrypoint
        ORDER BY q.entrypoint, q.id LIMIT (SELECT jobs + 1 FROM enough)
    ) AS few
) AS kept
LEFT JOIN LATERAL (
    SELECT greatest('0001-01-01 00:00Z', q.execute_after, least(q.created, now())) AS since FROM pgqueuer AS q
    WHERE q.status = 'queued' AND q.entrypoint = name.entrypoint AND q.execute_after <= now()
    ORDER BY q.execute_after LIMIT 1
) AS oldest ON true
ORDER BY name.entrypoint
