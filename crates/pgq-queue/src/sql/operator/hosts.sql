-- The hosts that announced themselves.
SELECT h.id, h.name, h.pid, h.version, h.plugins::text AS plugins,
       greatest('0001-01-01 00:00Z', least(h.started, '9999-12-31 23:59:59.999999Z')) AS started,
       greatest('0001-01-01 00:00Z', least(h.seen, '9999-12-31 23:59:59.999999Z')) AS seen
FROM pgqueuer_host AS h
-- Those that died are kept for a while. As JSON, because before an `upgrade` the column may be missing.
WHERE coalesce((to_jsonb(h) ->> 'died')::timestamptz < h.seen, true)
ORDER BY h.name, h.started
