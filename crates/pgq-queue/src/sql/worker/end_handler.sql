-- Ends a session of a handler that did not end when it was told to. The role is named too, so that a process that has
-- the number by now, and serves another, is left alone.
--
-- $1 integer  process of the session
-- $2 text     its role
--
-- Returns a row while the session is there.
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1 AND usename = $2 AND datname = current_database()
