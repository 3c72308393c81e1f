-- Whether a role may be that of handlers: it can log in and has what `grant --handler` gives, and nothing through which
-- it could reach the queue past the functions made for it. Asked in a session of the host's, where no handler can have
-- put anything into the search_path.
--
-- $1 text  the role
-- $2 text  the schema; NULL: the first of the search_path
-- $3 text  function that finishes a job; $4 text that puts it back
--
-- Returns the schema, and what is wrong with the role, in words; nothing: it is fine. A role that is not there is wrong
-- in one way only.
WITH place AS (
    SELECT oid, nspname, nspowner FROM pg_namespace WHERE nspname = coalesce($2, current_schema())
), role AS (
    SELECT oid, rolcanlogin, rolsuper, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = $1
), ours AS (
    SELECT c.oid, c.relname, c.relowner, c.oid = to_regclass('pgqueuer_host') AS is_host
    FROM unnest(ARRAY[to_regclass('pgqueuer'), to_regclass('pgqueuer_log'), to_regclass('pgqueuer_statistics'),
                      to_regclass('pgqueuer_schedules'), to_regclass('pgqueuer_output'), to_regclass('pgqueuer_plugin'),
                      to_regclass('pgqueuer_attempt'), to_regclass('pgqueuer_tally'), to_regclass('pgqueuer_host'),
                      to_regclass('pgqueuer_suspect'), to_regclass('pgqueuer_verdict')]::oid[]) AS t(oid)
        JOIN pg_class c USING (oid)
), functions AS (
    SELECT f.name, p.oid, p.prosecdef, p.proowner FROM unnest(ARRAY[$3, $4]) AS f(name)
        LEFT JOIN place ON true LEFT JOIN pg_proc p ON p.pronamespace = place.oid AND p.proname = f.name
), above AS (
    SELECT g.rolname, g.why FROM (
        SELECT oid, rolname, 'whose members can reach the queue or other sessions' AS why FROM pg_roles
        WHERE rolname IN ('pg_read_all_data', 'pg_write_all_data', 'pg_maintain', 'pg_signal_backend', 'pg_monitor',
                          'pg_read_all_stats', 'pg_read_server_files', 'pg_write_server_files',
                          'pg_execute_server_program', 'pg_create_subscription')
        UNION SELECT r.oid, r.rolname, 'which owns the queue, its schema or the database' FROM pg_roles r
        WHERE r.oid IN (SELECT relowner FROM ours UNION SELECT nspowner FROM place UNION SELECT proowner FROM functions
                        UNION SELECT datdba FROM pg_database WHERE datname = current_database())
        UNION SELECT oid, rolname, 'as which this host works' FROM pg_roles WHERE rolname = session_user
        UNION SELECT oid, rolname, 'which is a superuser' FROM pg_roles WHERE rolsuper
    ) AS g(oid, rolname, why), role
    WHERE pg_has_role(role.oid, g.oid, 'MEMBER') AND NOT role.rolsuper
), wrong AS (
    SELECT format('there is no role %s', quote_ident($1)) AS reason WHERE NOT EXISTS (SELECT FROM role)
    UNION ALL SELECT 'it may not log in' FROM role WHERE NOT rolcanlogin
    UNION ALL SELECT 'it is a superuser' FROM role WHERE rolsuper
    UNION ALL SELECT 'it has CREATEROLE' FROM role WHERE rolcreaterole AND NOT rolsuper
    UNION ALL SELECT 'it has REPLICATION' FROM role WHERE rolreplication AND NOT rolsuper
    UNION ALL SELECT 'it has BYPASSRLS' FROM role WHERE rolbypassrls AND NOT rolsuper
    UNION ALL SELECT format('it is, or may become, %s, %s', quote_ident(rolname), why) FROM above
    UNION ALL SELECT format('it has %s on %s', string_agg(p.word, ', ' ORDER BY p.word), ours.relname)
        FROM role, ours, unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER'])
            AS p(word)
        WHERE NOT rolsuper AND (p.word NOT IN ('SELECT', 'INSERT') OR ours.is_host)
          AND CASE WHEN p.word IN ('DELETE', 'TRUNCATE', 'TRIGGER') THEN has_table_privilege(role.oid, ours.oid, p.word)
                   ELSE has_any_column_privilege(role.oid, ours.oid, p.word) END
        GROUP BY ours.relname
    -- Whoever can create an operator there can have the statements of others find it.
    UNION ALL SELECT format('it may create objects in the schema %s, where sessions of this host look for names', nspname)
        FROM pg_namespace, role WHERE NOT rolsuper AND has_schema_privilege(role.oid, pg_namespace.oid, 'CREATE')
          AND (nspname = ANY (current_schemas(false)) OR pg_namespace.oid = (SELECT oid FROM place))
    UNION ALL SELECT 'it may create schemas in the database, also one that sessions of this host look into' FROM role
        WHERE NOT rolsuper AND has_database_privilege(role.oid, current_database(), 'CREATE')
    UNION ALL SELECT format('the function %s is missing', name) FROM functions, role WHERE functions.oid IS NULL
    UNION ALL SELECT format('it may not execute %s', name) FROM functions, role
        WHERE functions.oid IS NOT NULL AND NOT has_function_privilege(role.oid, functions.oid, 'EXECUTE')
    UNION ALL SELECT format('it has no USAGE on the schema %s', nspname) FROM place, role
        WHERE NOT has_schema_privilege(role.oid, place.oid, 'USAGE')
    UNION ALL SELECT format('everybody may execute %s', name) FROM functions, role
        WHERE functions.oid IS NOT NULL AND has_function_privilege('public', functions.oid, 'EXECUTE')
)
SELECT (SELECT nspname::text FROM place) AS schema, ARRAY(SELECT reason FROM wrong) AS wrong
