-- $1 is the job's id. Nothing comes back before the first log row; the last one has the job's present state.
SELECT log.status, log.traceback ->> 'exception_message' AS error, output.output
FROM pgqueuer_log AS log LEFT JOIN pgqueuer_output AS output USING (job_id)
WHERE log.job_id = $1
ORDER BY log.id DESC
LIMIT 1;
