INSERT INTO pgqueuer (priority, entrypoint, payload, status)
VALUES (0, 'hello', convert_to('{"name": "Grace"}', 'UTF8'), 'queued');
