-- Keeps verdicts on versions of plugins and tells the other hosts. Of a file that is refused again and again, as
-- while it is being written, the last verdict counts. A good run does not undo that a version was taken out of
-- service, and nothing but an operator's word that it is quarantined.
--
-- $1 text[] subjects; $2 text[] digests; $3 text[] plugins; $4 text[] versions; $5 text[] entrypoints
-- $6 text[] verdicts; $7 text[] reasons; $8 text[] rules that they were found by
-- $9 bigint[]  milliseconds that they hold; NULL: for good
-- $10 text     name of this machine
WITH pruned AS (
    DELETE FROM pgqueuer_verdict WHERE subject <> ALL ($1::text[]) AND rules <> 'quarantine'
      AND (judged < now() - interval '1 year'
           OR verdict = 'refused' AND name = ANY ($3::text[]) AND host = $10 AND judged > now() - interval '1 minute')
), written AS (
    INSERT INTO pgqueuer_verdict AS v (subject, sha256, name, version, entrypoint, verdict, reason, rules, until, host)
    SELECT subject, sha256, name, version, entrypoint, verdict, reason, rules,
           now() + left_ms * interval '1 millisecond', $10
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                $9::bigint[])
         AS j(subject, sha256, name, version, entrypoint, verdict, reason, rules, left_ms)
    ON CONFLICT (subject) DO UPDATE
    SET verdict = EXCLUDED.verdict, name = EXCLUDED.name, version = EXCLUDED.version, entrypoint = EXCLUDED.entrypoint,
        reason = EXCLUDED.reason, rules = EXCLUDED.rules, until = EXCLUDED.until, host = EXCLUDED.host, judged = now()
    WHERE (EXCLUDED.verdict <> 'good' OR v.verdict = 'good') AND v.rules <> 'quarantine'
    RETURNING verdict
)
SELECT pg_notify('ch_pgqueuer_host', '"judged"') FROM (SELECT FROM written WHERE verdict <> 'good' LIMIT 1) AS told
