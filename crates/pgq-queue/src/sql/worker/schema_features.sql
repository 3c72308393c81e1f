-- Which of the newest additions the database has, and this role may use. A table that it may not use is as good as
-- none: `upgrade` made it, and `grant` was not run again.
WITH usable AS (
    SELECT t.place, bool_and(coalesce(has_table_privilege(to_regclass(t.name), may), false)) AS yes
    FROM unnest(ARRAY['pgqueuer_attempt', 'pgqueuer_tally', 'pgqueuer_host', 'pgqueuer_plugin',
                      'pgqueuer_suspect', 'pgqueuer_verdict', 'pgqueuer_retention', 'pgqueuer_lines',
                      'pgqueuer_pause', 'pgqueuer_audit', 'pgqueuer_adjustment', 'pgqueuer_cause']) WITH ORDINALITY AS t (name, place),
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS may
    GROUP BY t.place
), tables AS (
    SELECT array_agg(yes ORDER BY place) AS usable FROM usable
)
SELECT usable[1] AS attempts, usable[2] AS tally, usable[3] AND usable[4] AS hosts,
       usable[3] AND EXISTS (
           SELECT FROM pg_attribute
           WHERE attrelid = to_regclass('pgqueuer_host') AND attname = 'presence' AND NOT attisdropped) AS presence,
       usable[3] AND EXISTS (
           SELECT FROM pg_attribute
           WHERE attrelid = to_regclass('pgqueuer_host') AND attname = 'died' AND NOT attisdropped) AS deaths,
       usable[3] AND EXISTS (
           SELECT FROM pg_attribute
           WHERE attrelid = to_regclass('pgqueuer_host') AND attname = 'handler_key' AND NOT attisdropped) AS handlers,
       usable[1] AND EXISTS (
           SELECT FROM pg_attribute
           WHERE attrelid = to_regclass('pgqueuer_attempt') AND attname = 'requests' AND NOT attisdropped) AS figures,
       usable[1] AND EXISTS (
           SELECT FROM pg_attribute
           WHERE attrelid = to_regclass('pgqueuer_attempt') AND attname = 'follow_ups' AND NOT attisdropped) AS follow_ups,
       usable[4] AND EXISTS (
           SELECT FROM pg_attribute
           WHERE attrelid = to_regclass('pgqueuer_plugin') AND attname = 'signed_by' AND NOT attisdropped) AS signers,
       usable[5] AS suspects, usable[6] AS verdicts, usable[7] AS retention, usable[8] AS lines,
       usable[9] AS pauses, usable[10] AS audit, usable[11] AS adjustments, usable[12] AS causes
FROM tables
