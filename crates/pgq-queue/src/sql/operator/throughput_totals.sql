-- What PgQueuer's statistics say of each entrypoint and status, all rows together.
--
-- $1 bigint  not older than so many milliseconds; NULL: of any age
SELECT s.entrypoint, s.status::text AS status, sum(s.count)::text AS total_count
FROM pgqueuer_statistics AS s
WHERE $1::bigint IS NULL OR s.created > now() - $1 * interval '1 millisecond'
GROUP BY s.entrypoint, s.status
ORDER BY s.entrypoint, s.status
