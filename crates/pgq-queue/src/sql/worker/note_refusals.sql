-- Notes in the audit that this host refused files because of who signed them. What the newest 1,000 rows say already,
-- of any host, is not said again.
--
-- $1 text[]  digests of the files
-- $2 text[]  what was refused, as JSON
-- $3 text[]  why
-- $4 text    this host, as the audit names it
INSERT INTO pgqueuer_audit (action, author, role, reason, filter)
SELECT 'refuse', $4::text, session_user, r.reason, r.filter::jsonb
FROM unnest($1::text[], $2::text[], $3::text[]) AS r(sha256, filter, reason)
WHERE NOT EXISTS (
    SELECT FROM (SELECT action, reason, filter FROM pgqueuer_audit ORDER BY id DESC LIMIT 1000) AS newest
    WHERE newest.action = 'refuse' AND newest.reason = r.reason AND newest.filter ->> 'sha256' = r.sha256)
