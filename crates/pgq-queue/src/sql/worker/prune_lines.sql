-- Removes what runs printed and is not to be kept any longer, the oldest first.
--
-- $1 bigint  rows at most
DELETE FROM pgqueuer_lines AS l USING (
    SELECT id FROM pgqueuer_lines WHERE until < now() ORDER BY until LIMIT $1
) AS old WHERE l.id = ANY (ARRAY[old.id])
