-- All that a producer needs. `app` is the role that it connects as.
GRANT INSERT, SELECT ON pgqueuer, pgqueuer_log TO app;
GRANT USAGE ON SEQUENCE pgqueuer_id_seq TO app;
-- And to wait for results:
GRANT SELECT ON pgqueuer_output TO app;
