-- Gives jobs other outputs, each its own, where what they have is what was read. An output that somebody just
-- removes is left alone.
--
-- $1 bigint[]  jobs
-- $2 bytea[]   SHA-256 of their outputs as they were read
-- $3 bytea[]   their new outputs
-- $4 bigint    row of the audit that counts them; NULL: none
WITH new AS (
    SELECT * FROM unnest($1::bigint[], $2::bytea[], $3::bytea[]) AS n(id, digest, output)
), found AS MATERIALIZED (
    SELECT o.job_id, new.output FROM pgqueuer_output AS o JOIN new ON new.id = o.job_id
    WHERE sha256(o.output) = new.digest
    ORDER BY o.job_id FOR UPDATE OF o SKIP LOCKED
), changed AS (
    UPDATE pgqueuer_output AS o SET output = found.output
    FROM found WHERE o.job_id = found.job_id
    RETURNING o.job_id
), noted AS (
    /* IF audit */ UPDATE pgqueuer_audit SET jobs = jobs + (SELECT count(*) FROM changed)
                   WHERE id = $4::bigint RETURNING id
    /* ELSE SELECT $4::bigint AS id */
)
SELECT changed.job_id::bigint AS id FROM changed, (SELECT count(*) FROM noted) AS one
