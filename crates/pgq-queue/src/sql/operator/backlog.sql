-- What waits, by entrypoint, deferred jobs included.
SELECT entrypoint, count(*) AS queued_count, min(created) AS oldest_created,
       extract(epoch FROM now() - min(created))::float8 AS oldest_age_seconds,
       avg(extract(epoch FROM now() - created))::float8 AS avg_age_seconds
FROM (
    SELECT entrypoint, greatest('0001-01-01 00:00Z', least(created, '9999-12-31 23:59:59.999999Z')) AS created
    FROM pgqueuer
    WHERE status = 'queued'
) AS waiting
GROUP BY entrypoint
ORDER BY entrypoint
