-- The job whose run enqueued this one: it was noted in the transaction that created it, at the time of which both have.
--
-- $1 bigint       job
-- $2 timestamptz  when it was created
SELECT a.job_id::bigint AS parent FROM pgqueuer_attempt AS a
WHERE a.created = $2 AND a.follow_ups @> ARRAY[$1::bigint]
LIMIT 1
