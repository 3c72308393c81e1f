-- What is paused now, and for how many milliseconds still, with the fingerprint of the whole table as an announcement
-- tells it. There are few rows, by hand. Where there are none, one row of NULLs bears the fingerprint.
SELECT kind, name, skip_ticks,
       (extract(epoch FROM least(until, '9999-12-31 23:59:59.999999Z') - now()) * 1000)::bigint AS left_ms, fingerprint
FROM (SELECT coalesce(sum(hashtextextended(p::text, 0)), 0)::text AS fingerprint FROM pgqueuer_pause AS p) AS whole
LEFT JOIN pgqueuer_pause ON until IS NULL OR until > now()
ORDER BY subject
