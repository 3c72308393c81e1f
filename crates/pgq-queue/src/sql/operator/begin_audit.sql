-- Notes who does what. The jobs are counted as they are changed.
--
-- $1 text  action; $2 text  author; $3 text  reason, or NULL; $4 text  what was asked for, as JSON
INSERT INTO pgqueuer_audit (action, author, role, reason, filter) VALUES ($1, $2, session_user, $3, $4::text::jsonb)
RETURNING id
