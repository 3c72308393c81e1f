-- Since when something is logged that is not counted into PgQueuer's statistics: about, from the first such rows.
--
-- $1 bigint  rows to look at
SELECT (SELECT min(l.created) FROM (SELECT created FROM pgqueuer_log WHERE NOT aggregated LIMIT $1::bigint) AS l) AS logged,
       /* IF tally */ (SELECT t.created FROM pgqueuer_tally AS t ORDER BY t.id LIMIT 1) /* ELSE NULL::timestamptz */ AS tallied
