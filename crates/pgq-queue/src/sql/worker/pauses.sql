-- What is paused now, and for how many milliseconds still. There are few rows, by hand.
SELECT kind, name, skip_ticks,
       (extract(epoch FROM least(until, '9999-12-31 23:59:59.999999Z') - now()) * 1000)::bigint AS left_ms
FROM pgqueuer_pause
WHERE until IS NULL OR until > now()
ORDER BY subject
