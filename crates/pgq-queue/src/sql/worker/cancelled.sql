-- Which of these jobs are cancelled, as a notification says. Any role that can log in can notify, handlers' too; to
-- cancel a job is to delete its row. So the row is gone, or whoever notified may delete it.
--
-- $1 bigint[]  jobs
-- $2 integer   process of the session that notified
SELECT c.id FROM unnest($1::bigint[]) AS c(id)
WHERE NOT EXISTS (SELECT FROM pgqueuer q WHERE q.id = ANY (ARRAY[c.id]))
   OR EXISTS (SELECT FROM pg_stat_activity a
              WHERE a.pid = $2 AND has_table_privilege(a.usesysid, to_regclass('pgqueuer'), 'DELETE'))
