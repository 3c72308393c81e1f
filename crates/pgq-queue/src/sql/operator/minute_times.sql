-- How long runs took in each of these minutes, from the first few that ended in it.
--
-- $1 bigint  the first minute, counted from 1970
-- $2 bigint  the last one
-- $3 bigint  runs of a minute at most
SELECT m.minute, times.runs, times.p50_us, times.p95_us
FROM generate_series($1::bigint, $2::bigint) AS m(minute)
CROSS JOIN LATERAL (
    SELECT count(*) AS runs,
           percentile_disc(0.5) WITHIN GROUP (ORDER BY a.elapsed_us) AS p50_us,
           percentile_disc(0.95) WITHIN GROUP (ORDER BY a.elapsed_us) AS p95_us
    FROM (SELECT elapsed_us FROM pgqueuer_attempt
          WHERE created >= to_timestamp(m.minute * 60) AND created < to_timestamp(m.minute * 60 + 60) LIMIT $3) AS a
) AS times
WHERE times.runs > 0
