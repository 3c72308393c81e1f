-- Why runs failed, as far as hosts have counted it, what failed last first.
--
-- $1 bigint  causes at most
-- $2 text    of this entrypoint; NULL: of all
SELECT key, entrypoint, exception_type, message, frame, last_message, failures, first_seen, last_seen, examples,
       versions::text AS versions
FROM (SELECT * FROM pgqueuer_cause ORDER BY last_seen DESC LIMIT $1) AS c
WHERE $2::text IS NULL OR entrypoint = $2
