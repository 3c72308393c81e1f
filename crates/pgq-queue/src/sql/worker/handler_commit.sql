-- What became of a transaction whose answer was lost: 'committed', 'aborted' or 'in progress'; NULL once nobody
-- remembers.
--
-- $1 text  the transaction
SELECT pg_xact_status($1::xid8)
