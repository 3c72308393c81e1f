-- Workers that hold jobs.
SELECT queue_manager_id, count(*) AS active_jobs,
       min(heartbeat) AS oldest_heartbeat, max(heartbeat) AS newest_heartbeat,
       array_agg(DISTINCT entrypoint ORDER BY entrypoint) AS entrypoints
FROM (
    SELECT queue_manager_id, entrypoint,
           greatest('0001-01-01 00:00Z', least(heartbeat, '9999-12-31 23:59:59.999999Z')) AS heartbeat
    FROM pgqueuer
    WHERE status = 'picked' AND queue_manager_id IS NOT NULL
) AS running
GROUP BY queue_manager_id
ORDER BY queue_manager_id
