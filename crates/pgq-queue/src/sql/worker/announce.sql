-- Writes this host's row, and the versions of plugins that its attempts name. Hosts that were not seen for a day
-- are removed. The other hosts are told of a new row, and of one whose sessions count as a sign of life again.
-- What a host reads now and then comes along as a fingerprint, so that an idle host reads it only when it changed.
--
-- $1 uuid      this worker
-- $2 text      name of the machine
-- $3 integer   process
-- $4 text      version of pgq-host
-- $5 jsonb     what it makes of each plugin file
-- $6 bigint[]  keys of versions; $7 text[] names; $8 text[] versions; $9 text[] digests
-- $10 bigint   key of the advisory lock that its sessions hold; NULL: they are no sign of life
-- $11 boolean  whether to tell the others in any case
-- $12 bytea    what its handlers' sessions prove with that it is this host that commits an outcome there
WITH versions AS (
    INSERT INTO pgqueuer_plugin (key, name, version, sha256)
    SELECT * FROM unnest($6::bigint[], $7::text[], $8::text[], $9::text[])
    ON CONFLICT DO NOTHING
), forgotten AS (
    DELETE FROM pgqueuer_host WHERE seen < now() - interval '1 day' AND id <> $1
), announced AS (
    INSERT INTO pgqueuer_host (id, name, pid, version, plugins /* IF presence */, presence /* END */
                               /* IF presence handlers */, handler_key /* END */)
    VALUES ($1, $2, $3, $4, $5 /* IF presence */, $10 /* END */ /* IF presence handlers */, $12 /* END */)
    ON CONFLICT (id) DO UPDATE
    SET seen = now(), plugins = EXCLUDED.plugins /* IF presence */, presence = EXCLUDED.presence /* END */
        /* IF presence handlers */, handler_key = EXCLUDED.handler_key /* END */
    RETURNING xmax = 0 AS joined
)
SELECT (SELECT pg_notify('ch_pgqueuer_host', '"joined"') FROM announced WHERE joined /* IF presence */ OR $11 /* END */)
           IS NOT NULL AS told,
       /* IF pauses */ (SELECT coalesce(sum(hashtextextended(p::text, 0)), 0)::text FROM pgqueuer_pause AS p)
           /* ELSE NULL::text */ AS pauses,
       /* IF verdicts */ (SELECT coalesce(sum(hashtextextended(v::text, 0)), 0)::text FROM pgqueuer_verdict AS v)
           /* ELSE NULL::text */ AS verdicts
