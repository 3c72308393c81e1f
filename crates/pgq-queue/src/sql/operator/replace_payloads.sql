-- Gives jobs that do not run other payloads, each its own, where what they have is what was read. A row that
-- somebody just claims or changes is left alone.
--
-- $1 bigint[]  jobs
-- $2 bytea[]   SHA-256 of their payloads as they were read
-- $3 bytea[]   their new payloads
-- $4 bigint    row of the audit that counts them; NULL: none
WITH new AS (
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS n(id, digest, payload)
), found AS MATERIALIZED (
    SELECT q.id, new.payload FROM pgqueuer AS q JOIN new ON new.id = q.id
    WHERE q.status::text IN ('queued', 'failed') AND sha256(q.payload) = new.digest
    ORDER BY q.id FOR UPDATE OF q SKIP LOCKED
), changed AS (
    -- As in `change`.
    UPDATE pgqueuer AS q SET updated = now(), payload = found.payload
    FROM found WHERE q.id = ANY (ARRAY[found.id])
    RETURNING q.id
), noted AS (
    /* IF audit */ UPDATE pgqueuer_audit SET jobs = jobs + (SELECT count(*) FROM changed)
                   WHERE id = $4::bigint RETURNING id
    /* ELSE SELECT $4::bigint AS id */
)
SELECT changed.id::bigint AS id FROM changed, (SELECT count(*) FROM noted) AS one
