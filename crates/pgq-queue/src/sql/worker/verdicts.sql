-- The verdicts on versions of plugins, the newest 10,000. There is one row per version and old ones are pruned, so
-- that is far more than there are.
SELECT sha256, name, version, entrypoint, verdict, reason, rules, host,
       (extract(epoch FROM until - now()) * 1000)::bigint AS left_ms
FROM pgqueuer_verdict ORDER BY judged DESC LIMIT 10000
