-- PgQueuer's tables: whether a crash of the server empties them, and how large they are.
--
-- $1 text    their schema; NULL: the first of the search path
-- $2 text[]  their names
SELECT c.relname::text AS table_name,
       CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED' WHEN 'p' THEN 'LOGGED' ELSE c.relpersistence::text END AS persistence,
       c.reltuples::bigint AS estimated_rows, pg_size_pretty(pg_total_relation_size(c.oid)) AS total_size
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce($1::text, current_schema()) AND c.relname = ANY($2::text[]) AND c.relkind = 'r'
ORDER BY c.relname
