-- The verdicts on versions of plugins, the newest 10,000, with the fingerprint of the whole table as an announcement
-- tells it. There is one row per version and old ones are pruned, so that is far more than there are. Where there
-- are none, one row of NULLs bears the fingerprint.
SELECT sha256, name, version, entrypoint, verdict, reason, rules, host,
       (extract(epoch FROM until - now()) * 1000)::bigint AS left_ms, fingerprint
FROM (SELECT coalesce(sum(hashtextextended(v::text, 0)), 0)::text AS fingerprint FROM pgqueuer_verdict AS v) AS whole
LEFT JOIN (SELECT * FROM pgqueuer_verdict ORDER BY judged DESC LIMIT 10000) AS newest ON true
ORDER BY judged DESC
