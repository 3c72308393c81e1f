-- Where a walk through a table stands. It begins anew if it began so long ago: what it passed over then, because the
-- job was in the queue or its log was not counted, may go by now.
--
-- $1 text    the walk
-- $2 bigint  milliseconds
WITH new AS (
    INSERT INTO pgqueuer_retention (walk) VALUES ($1) ON CONFLICT (walk) DO NOTHING RETURNING position
), anew AS (
    UPDATE pgqueuer_retention SET position = 0, begun = now()
    WHERE walk = $1 AND begun < now() - $2::bigint * interval '1 millisecond'
    RETURNING position
)
SELECT coalesce(
    (SELECT position FROM new), (SELECT position FROM anew),
    (SELECT position FROM pgqueuer_retention WHERE walk = $1), 0)
