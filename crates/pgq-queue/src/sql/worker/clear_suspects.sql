-- Clears suspects whose outcome was recorded by a host that lives. One that was lost again by now is under another
-- claim, or under none.
--
-- $1 bigint[]       jobs
-- $2 timestamptz[]  their claims
DELETE FROM pgqueuer_suspect AS s USING unnest($1::bigint[], $2::timestamptz[]) AS done(id, claimed)
WHERE s.job_id = ANY (ARRAY[done.id]) AND s.claim IS NOT DISTINCT FROM done.claimed
