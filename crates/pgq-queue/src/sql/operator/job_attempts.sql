-- The newest attempts of one job that hosts noted, the newest first. The index is one of block ranges over time and
-- job, so the caller says when the job was in the queue, bounds the time, and allows bitmap scans.
--
-- $1 bigint       job
-- $2 timestamptz  not before
-- $3 timestamptz  not after
-- $4 bigint       rows at most
SELECT a.attempt, greatest('0001-01-01 00:00Z', least(a.created, '9999-12-31 23:59:59.999999Z')) AS ended,
       a.elapsed_us, a.memory_bytes,
       /* IF figures */ a.host, a.cpu_us, a.sent_bytes, a.received_bytes, a.requests, /* ELSE NULL::uuid AS host,
       NULL::bigint AS cpu_us, NULL::bigint AS sent_bytes, NULL::bigint AS received_bytes, NULL::int AS requests, */
       /* IF follow_ups */ a.failed, a.follow_ups, /* ELSE NULL::boolean AS failed, NULL::bigint[] AS follow_ups, */
       p.name AS plugin, p.version AS plugin_version, p.sha256 AS plugin_sha256,
       /* IF signers */ p.signed_by::text /* ELSE NULL::text */ AS plugin_signed_by
FROM pgqueuer_attempt AS a LEFT JOIN pgqueuer_plugin AS p ON p.key = a.plugin
WHERE a.job_id = $1 AND a.created >= $2 AND a.created <= $3
ORDER BY a.created DESC
LIMIT $4
