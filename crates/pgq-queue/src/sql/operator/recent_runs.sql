-- Some of the runs that ended a short while ago, with their entrypoints, and how long their jobs waited from their last
-- enqueue to their claim. An attempt has no entrypoint; the log has it, where it is kept.
--
-- $1 bigint  milliseconds back
-- $2 bigint  runs at most
SELECT a.plugin, a.elapsed_us, a.memory_bytes,
       /* IF figures */ a.cpu_us, /* ELSE NULL::bigint AS cpu_us, */
       /* IF follow_ups */ coalesce(a.failed, false) AS failed, /* ELSE NULL::boolean AS failed, */
       logged.entrypoint, (extract(epoch FROM logged.claimed - logged.queued) * 1000000)::bigint AS waited_us
FROM (
    SELECT * FROM pgqueuer_attempt
    WHERE created > now() - $1::bigint * interval '1 millisecond'
    LIMIT $2
) AS a
LEFT JOIN LATERAL (
    SELECT max(l.entrypoint) AS entrypoint, max(l.created) FILTER (WHERE l.status = 'picked') AS claimed,
           max(l.created) FILTER (WHERE l.status = 'queued') AS queued
    FROM (SELECT entrypoint, created, status FROM pgqueuer_log WHERE job_id = a.job_id AND created <= now()
          ORDER BY created DESC, id DESC LIMIT 3) AS l
) AS logged ON true
