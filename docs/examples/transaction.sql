-- A sign-up and the job that greets: both are committed, or neither is.
BEGIN;
INSERT INTO users (name) VALUES ('Ada');
INSERT INTO pgqueuer (priority, entrypoint, payload, status)
VALUES (0, 'hello', convert_to('{"name": "Ada"}', 'UTF8'), 'queued');
COMMIT;
