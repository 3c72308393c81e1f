-- Notes which keys signed versions of plugins, as this host found it. What other hosts found stays, and so do the names
-- that they have for a key. The audit is told of a version that has a signer whom neither it nor the last signed version
-- before it had, and of one without any after one that had some.
--
-- Rows are locked in one order, since other hosts say the same at the same time.
--
-- $1 bigint[]  keys of versions
-- $2 text[]    keys that signed each, as a JSON object: names by fingerprint
-- $3 text      this host, as the audit names it
WITH found AS (
    SELECT f.key, f.signed_by::jsonb AS signed_by FROM unnest($1::bigint[], $2::text[]) AS f(key, signed_by)
), locked AS (
    SELECT p.key, p.name, p.version, p.sha256, p.first_served, p.signed_by AS known
    FROM pgqueuer_plugin AS p WHERE p.key = ANY ($1::bigint[])
    ORDER BY p.key FOR NO KEY UPDATE
), news AS (
    SELECT l.key, l.name, l.version, l.sha256, l.known, f.signed_by, b.version AS version_before, b.signed_by AS before
    FROM locked AS l JOIN found AS f USING (key)
    LEFT JOIN LATERAL (
        SELECT p.version, p.signed_by
        FROM pgqueuer_plugin AS p
        WHERE p.name = l.name AND p.key <> l.key AND p.first_served <= l.first_served AND p.signed_by <> '{}'
        ORDER BY p.first_served DESC LIMIT 1
    ) AS b ON true
    WHERE (l.known ?& ARRAY(SELECT jsonb_object_keys(f.signed_by))) IS NOT true
), noted AS (
    UPDATE pgqueuer_plugin AS p SET signed_by = n.signed_by || coalesce(n.known, '{}') FROM news AS n WHERE p.key = n.key
), told AS (
    SELECT n.*, coalesce(n.known, '{}') || coalesce(n.before, '{}') AS expected,
           (SELECT string_agg(format('%s (%s)', name, left(fingerprint, 12)), ', ' ORDER BY name, fingerprint)
            FROM jsonb_each_text(n.signed_by) AS one(fingerprint, name)) AS signers,
           (SELECT string_agg(format('%s (%s)', name, left(fingerprint, 12)), ', ' ORDER BY name, fingerprint)
            FROM jsonb_each_text(n.before) AS one(fingerprint, name)) AS signers_before
    FROM news AS n
)
/* IF audit */ INSERT INTO pgqueuer_audit (action, author, role, reason, filter) /* END */
SELECT 'signer_changed', $3::text, session_user,
       format('version %s is signed by %s', version, coalesce(signers, 'no key that a host knows'))
           || coalesce(format('; version %s before it was signed by %s', version_before, signers_before), ''),
       jsonb_build_object('plugin', name, 'version', version, 'sha256', sha256, 'signed_by', signed_by)
FROM told
WHERE CASE signed_by WHEN '{}' THEN known IS NULL AND before IS NOT NULL
           ELSE expected <> '{}' AND NOT expected ?& ARRAY(SELECT jsonb_object_keys(signed_by)) END
