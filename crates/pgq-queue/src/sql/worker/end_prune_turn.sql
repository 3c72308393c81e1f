-- Gives the turn to prune back, notes when everything had been walked through, and forgets walks of rules that
-- nobody has had for a long time.
--
-- $1 uuid  who has it
-- $2 bool  whether the walks came to their ends
WITH given AS (
    UPDATE pgqueuer_retention SET host = NULL, until = NULL, walked = CASE WHEN $2 THEN now() ELSE walked END
    WHERE walk = 'turn' AND host = $1 RETURNING walk
), forgotten AS (
    DELETE FROM pgqueuer_retention
    WHERE walk <> 'turn' AND coalesce(walked, begun) < now() - interval '100 days' AND EXISTS (SELECT FROM given)
    RETURNING walk
)
SELECT EXISTS (SELECT FROM given), (SELECT count(*) FROM forgotten)
