-- Transactions that are open for so long already, the oldest first: those that keep dead rows from being removed (of sessions,
-- prepared ones, and those of standbys), and those of sessions that do nothing: they may hold locks. What the role may not see of
-- another's session is not told.
--
-- $1 bigint  milliseconds
-- $2 bigint  transactions at most
SELECT pid, role, application, address, state, open_ms, idle_ms, holds_back
FROM (
    SELECT pid, usename::text AS role, coalesce(application_name, '') AS application, host(client_addr) AS address, state,
           (extract(epoch FROM clock_timestamp() - xact_start) * 1000)::bigint AS open_ms,
           CASE WHEN state LIKE 'idle%' THEN (extract(epoch FROM clock_timestamp() - state_change) * 1000)::bigint END AS idle_ms,
           backend_xmin IS NOT NULL OR backend_xid IS NOT NULL AS holds_back
    FROM pg_stat_activity
    WHERE (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL OR state LIKE 'idle in transaction%') AND pid <> pg_backend_pid()
      AND (datname = current_database() OR (datname IS NULL AND usename IS NOT NULL))
      AND backend_type IS DISTINCT FROM 'autovacuum worker'
    UNION ALL
    SELECT NULL, owner::text, gid, NULL, 'prepared', (extract(epoch FROM clock_timestamp() - prepared) * 1000)::bigint, NULL, true
    FROM pg_prepared_xacts WHERE database = current_database()
) AS held
WHERE open_ms > $1
ORDER BY open_ms DESC
LIMIT $2
