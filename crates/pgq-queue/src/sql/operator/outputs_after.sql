-- The next jobs that have outputs, whatever became of them.
--
-- $1 bigint  behind this job
-- $2 bigint  so many
SELECT o.job_id::bigint FROM pgqueuer_output AS o WHERE o.job_id > $1::bigint ORDER BY o.job_id LIMIT $2::bigint
