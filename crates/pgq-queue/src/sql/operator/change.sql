-- Changes jobs that do not run: when they are due, their payload, their priority. Whoever may claim them is told.
--
-- $1 bigint[]     jobs
-- $2 text[]       those with these statuses
-- $3 boolean      only those that are not due yet
-- $4 timestamptz  when they are due; NULL: as below
-- $5 bigint       in how many milliseconds; NULL: as it is
-- $6 boolean      whether to set the payload; $7 bytea  to this, which may be NULL
-- $8 integer      priority; NULL: as it is
-- $9 bigint       row of the audit that counts them; NULL: none
WITH found AS MATERIALIZED (
    SELECT id FROM pgqueuer
    WHERE id = ANY($1) AND status::text = ANY($2::text[]) AND (NOT $3::boolean OR execute_after > now())
    ORDER BY id FOR UPDATE
), changed AS (
    -- A host that lost the session in which it had locked a row sees by `updated` that the row is another.
    UPDATE pgqueuer AS q
    SET updated = now(),
        execute_after = coalesce($4::timestamptz, now() + $5::bigint * interval '1 millisecond', q.execute_after),
        payload = CASE WHEN $6::boolean THEN $7::bytea ELSE q.payload END, priority = coalesce($8::integer, q.priority)
    FROM found WHERE q.id = ANY (ARRAY[found.id])
    RETURNING q.id
), noted AS (
    /* IF audit */ UPDATE pgqueuer_audit SET jobs = jobs + (SELECT count(*) FROM changed)
                   WHERE id = $9::bigint RETURNING id
    /* ELSE SELECT $9::bigint AS id */
), told AS MATERIALIZED (
    SELECT pg_notify('ch_pgqueuer', json_build_object(
        'channel', 'ch_pgqueuer', 'operation', 'update', 'sent_at', now(), 'table', 'pgqueuer',
        'type', 'table_changed_event')::text)
    WHERE EXISTS (SELECT FROM changed)
)
SELECT changed.id::bigint AS id FROM changed, (SELECT count(*) FROM told) AS one, (SELECT count(*) FROM noted) AS two
