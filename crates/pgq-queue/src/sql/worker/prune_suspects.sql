-- Removes suspects whose jobs are gone: finished by a worker that knows nothing of this table, or deleted.
DELETE FROM pgqueuer_suspect AS s WHERE NOT EXISTS (SELECT FROM pgqueuer WHERE id = s.job_id)
