-- Whether any job of these entrypoints is queued, due or not, or picked. A running job may come back: from a
-- failure, or from a worker that is lost.
--
-- $1 text[]  entrypoints
SELECT EXISTS (SELECT FROM pgqueuer WHERE status = 'queued' AND entrypoint = ANY($1))
    OR EXISTS (SELECT FROM pgqueuer WHERE status = 'picked' AND entrypoint = ANY($1))
