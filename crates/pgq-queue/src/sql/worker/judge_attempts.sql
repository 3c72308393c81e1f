-- How many attempts of the next blocks may go. Changes nothing and locks nothing.
--
-- $1 bigint  from this block of the table on
-- $2 bigint  blocks
-- $3 bigint  milliseconds that attempts are kept
--
-- Attempts have no key, and their index by time tells blocks apart only as long as no room is used again. Blocks
-- can be counted off without either.
SELECT $1::bigint + $2::bigint AS next,
       $1::bigint + $2::bigint >= pg_relation_size(to_regclass('pgqueuer_attempt')) / current_setting('block_size')::bigint AS is_end,
       count(*) AS rows, greatest('0001-01-01 00:00Z', min(created)) AS oldest
FROM pgqueuer_attempt
WHERE ctid >= format('(%s,0)', $1::bigint)::tid AND ctid < format('(%s,0)', $1::bigint + $2::bigint)::tid
  AND created < now() - $3::bigint * interval '1 millisecond'
