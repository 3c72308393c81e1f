-- Transactions of this database that have been open for long and keep dead rows from being removed. Without
-- pg_read_all_stats, a role sees only its own.
--
-- $1 bigint  milliseconds
SELECT a.pid, coalesce(a.application_name, '') AS application, a.usename::text AS role, a.state,
       a.xact_start AS since
FROM pg_stat_activity AS a
WHERE (a.backend_xmin IS NOT NULL OR a.backend_xid IS NOT NULL) AND a.pid <> pg_backend_pid()
  AND a.datname = current_database() AND a.backend_type IS DISTINCT FROM 'autovacuum worker'
  AND a.xact_start < now() - $1::bigint * interval '1 millisecond'
ORDER BY a.xact_start
LIMIT 20
