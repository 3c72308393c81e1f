-- How many jobs run of each entrypoint: of those that were claimed first, so many at most. There are as many as the
-- fleet has places.
--
-- $1 bigint  jobs to look at
SELECT entrypoint, count(*) AS running
FROM (SELECT entrypoint FROM pgqueuer WHERE status = 'picked' ORDER BY updated, id DESC LIMIT $1) AS running
GROUP BY entrypoint
