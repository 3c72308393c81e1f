-- Notes how far causes are counted.
--
-- $1 timestamptz  up to the failures of this time
-- $2 bigint       and of that time, up to this id
UPDATE pgqueuer_retention SET walked = $1, position = $2 WHERE walk = 'causes'
