-- Takes or keeps the turn to prune, which one host has at a time, and looks whether jobs wait. A turn whose host
-- is silent is free when its time is over. Nobody waits for it.
--
-- $1 uuid    who wants it
-- $2 bigint  milliseconds that it lasts
WITH free AS (
    SELECT walk FROM pgqueuer_retention WHERE walk = 'turn' AND (host = $1 OR coalesce(until < now(), true))
    FOR UPDATE SKIP LOCKED
), mine AS (
    UPDATE pgqueuer_retention AS r SET host = $1, until = now() + $2::bigint * interval '1 millisecond'
    FROM free WHERE r.walk = free.walk RETURNING r.walked
)
SELECT EXISTS (SELECT FROM mine) AS is_mine,
       (SELECT (extract(epoch FROM now() - walked) * 1000)::bigint FROM mine) AS ended_ms,
       EXISTS (
           SELECT FROM (
               SELECT execute_after FROM pgqueuer WHERE status = 'queued' ORDER BY priority DESC, id LIMIT 100
           ) AS first
           WHERE execute_after < now() - interval '1 second'
       ) AS is_busy
