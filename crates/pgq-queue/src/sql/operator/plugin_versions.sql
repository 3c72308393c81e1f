-- The versions of plugins that ran jobs here, those first that were served last. A version is a row, so there are as
-- many as there were deployments.
--
-- $1 bigint  versions at most
SELECT p.key, p.name, p.version, p.sha256,
       greatest('0001-01-01 00:00Z', least(p.first_served, '9999-12-31 23:59:59.999999Z')) AS first_served,
       /* IF signers */ p.signed_by::text /* ELSE NULL::text */ AS signed_by
FROM pgqueuer_plugin AS p
ORDER BY p.first_served DESC, p.key
LIMIT $1
