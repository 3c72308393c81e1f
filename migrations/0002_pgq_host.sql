-- What pgq-host adds. Nothing here depends on PgQueuer's enum or columns in a way that `pgq uninstall` (no CASCADE) would trip
-- over, and all of it can be made again where it stands already.

CREATE TABLE IF NOT EXISTS {output} (
    job_id bigint NOT NULL PRIMARY KEY,
    created timestamp with time zone NOT NULL DEFAULT now(),
    entrypoint text NOT NULL,
    output bytea NOT NULL
);

-- For whoever clears old outputs away; rows come in the order of time, so this costs next to nothing as they do.
CREATE INDEX IF NOT EXISTS {output.bare}_created ON {output} USING brin (created);

-- PgQueuer's own trigger never notifies on UPDATE (a statement trigger has no OLD and NEW), so a job that is retried or requeued
-- would wait for somebody's next poll. The payload is PgQueuer's event; within one transaction all of them are the same text, and
-- PostgreSQL delivers equal notifications of a transaction once.
CREATE OR REPLACE FUNCTION {requeued_function}() RETURNS TRIGGER AS $$
BEGIN
    PERFORM pg_notify(
        '{channel}',
        json_build_object(
            'channel', '{channel}',
            'operation', 'update',
            'sent_at', NOW(),
            'table', TG_TABLE_NAME,
            'type', 'table_changed_event'
        )::text
    );
    RETURN NULL; -- An AFTER trigger's value is ignored.
END;
$$ LANGUAGE plpgsql;

CREATE OR REPLACE TRIGGER {requeued_trigger.bare} AFTER UPDATE OF status ON {queue}
FOR EACH ROW WHEN (((new.status = 'queued'::{status}) AND (old.status IS DISTINCT FROM new.status)))
EXECUTE FUNCTION {requeued_function}();

-- Every version of every plugin that ever ran a job here. The key is the first 64 bits of the sha256. `signed_by` are the keys whose
-- signatures of these bytes any host found, as an object: their names by the fingerprint. It is empty where hosts found none, and NULL where
-- only hosts of an earlier release served it.
CREATE TABLE IF NOT EXISTS {plugin} (
    key bigint NOT NULL PRIMARY KEY,
    name text NOT NULL,
    version text NOT NULL,
    sha256 text NOT NULL,
    first_served timestamp with time zone NOT NULL DEFAULT now(),
    signed_by jsonb
);

-- Which of them ran each attempt, for how long and with how much memory. `follow_ups` are the jobs that it enqueued: they were created at
-- the time of this row, in its transaction, so that a job's parent is found by time. What is not so is NULL, which takes no room. Rows come
-- in the order of time and are looked for by job or by time, so one block range index does for both at next to no cost; they are deleted
-- after a while. Ids of jobs with other priorities lie between each other, so that a range of blocks has several ranges of ids. It is
-- summarized as soon as it is full: until then, everybody who looks would have to read it.
CREATE TABLE IF NOT EXISTS {attempt} (
    created timestamp with time zone NOT NULL DEFAULT now(),
    job_id bigint NOT NULL,
    plugin bigint NOT NULL,
    elapsed_us bigint NOT NULL,
    memory_bytes bigint NOT NULL,
    attempt integer NOT NULL,
    host uuid,
    cpu_us bigint,
    sent_bytes bigint,
    received_bytes bigint,
    requests integer,
    failed boolean,
    follow_ups bigint[]
);

CREATE INDEX IF NOT EXISTS {attempt.bare}_created_job_id ON {attempt} USING brin (created, job_id int8_minmax_multi_ops) WITH (autosummarize='true');


-- A table in a publication (FOR ALL TABLES, say) refuses to delete rows that have no identity, and old attempts are deleted. A key would
-- cost an index entry per job; this costs nothing before a row is deleted, and then only where changes are published.
ALTER TABLE {attempt} REPLICA IDENTITY FULL;

-- What hosts wrote to the log, counted by the very statements that wrote it, and not in PgQueuer's statistics yet. A log row that stands
-- here is born `aggregated`: nobody has to find it, count it and write it anew. One row per statement and kind; they go every few seconds.
CREATE TABLE IF NOT EXISTS {tally} (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL PRIMARY KEY,
    created timestamp with time zone NOT NULL,
    count bigint NOT NULL,
    priority integer NOT NULL,
    status text NOT NULL,
    entrypoint text NOT NULL
);

-- The hosts that run now, and what each makes of its plugins folder. Each session of a host that says so holds a shared advisory lock
-- on `presence`: when nobody holds it, the host is gone, and whoever notices writes when: for a while after that, every claim is marked, so
-- that a job that ends its hosts is found. With `handler_key` a host shows that it is the host where a handler's session commits an outcome.
CREATE TABLE IF NOT EXISTS {host} (
    id uuid NOT NULL PRIMARY KEY,
    name text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started timestamp with time zone NOT NULL DEFAULT now(),
    seen timestamp with time zone NOT NULL DEFAULT now(),
    plugins jsonb NOT NULL,
    presence bigint,
    died timestamp with time zone,
    handler_key bytea
);

-- Jobs that a lost worker held. Until an outcome of theirs is recorded, a host runs them apart: a few at a time, and alone once a job was
-- among a few that had begun when their host was lost. `claim` is the claim (`updated` in the queue) under which the job began, if it did.
CREATE TABLE IF NOT EXISTS {suspect} (
    job_id bigint NOT NULL PRIMARY KEY,
    created timestamp with time zone NOT NULL DEFAULT now(),
    lost timestamp with time zone NOT NULL DEFAULT now(),
    worker uuid,
    claim timestamp with time zone,
    alone boolean NOT NULL DEFAULT false,
    crashes integer NOT NULL DEFAULT 0
);

-- What hosts found out about versions of plugins, for all hosts and for their next start: that one is `good`, that its file is `refused`,
-- that it was `rolled_back`, that an entrypoint of it is `paused`. A subject is a version's sha256, or that and an entrypoint.
CREATE TABLE IF NOT EXISTS {verdict} (
    subject text NOT NULL PRIMARY KEY,
    sha256 text NOT NULL,
    name text NOT NULL,
    version text,
    entrypoint text,
    verdict text NOT NULL,
    reason text NOT NULL,
    rules text NOT NULL,
    until timestamp with time zone,
    host text NOT NULL,
    judged timestamp with time zone NOT NULL DEFAULT now()
);

-- How far old rows have been removed: one row per walk through a table, and one for the turn, which one host has at a time. A walk is a
-- table, an age and the rules, so that other rules begin another walk.
CREATE TABLE IF NOT EXISTS {retention} (
    walk text NOT NULL PRIMARY KEY,
    position bigint NOT NULL DEFAULT 0,
    begun timestamp with time zone NOT NULL DEFAULT now(),
    walked timestamp with time zone,
    host uuid,
    until timestamp with time zone
);

-- What runs printed, as long as it is kept: by default that of failed runs. The lines are compressed JSON, the end of them; `cut` is how
-- many bytes came before. A row says itself until when it is kept, because failures are kept for longer.
CREATE TABLE IF NOT EXISTS {lines} (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL PRIMARY KEY,
    created timestamp with time zone NOT NULL DEFAULT now(),
    until timestamp with time zone NOT NULL,
    job_id bigint NOT NULL,
    attempt integer NOT NULL,
    failed boolean NOT NULL,
    entrypoint text NOT NULL,
    cut bigint NOT NULL,
    lines bytea NOT NULL
);

CREATE INDEX IF NOT EXISTS {lines.bare}_job_id ON {lines} USING btree (job_id);

CREATE INDEX IF NOT EXISTS {lines.bare}_until ON {lines} USING btree (until);

-- What operators paused: no host claims jobs of it, until the row is gone or `until` is over. A subject is the kind and the name. `role` is
-- the database role that paused it, `author` whom it says it is.
CREATE TABLE IF NOT EXISTS {pause} (
    subject text NOT NULL PRIMARY KEY,
    kind text NOT NULL,
    name text NOT NULL,
    reason text NOT NULL,
    author text NOT NULL,
    role text NOT NULL,
    paused timestamp with time zone NOT NULL DEFAULT now(),
    until timestamp with time zone,
    skip_ticks boolean NOT NULL DEFAULT false
);

-- Who changed what by hand: one row for each command of an operator, with how many jobs it changed. `role` is the database role, `author`
-- whom it says it is, `filter` what was asked for.
CREATE TABLE IF NOT EXISTS {audit} (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL PRIMARY KEY,
    at timestamp with time zone NOT NULL DEFAULT now(),
    action text NOT NULL,
    author text NOT NULL,
    role text NOT NULL,
    reason text,
    filter jsonb NOT NULL,
    jobs bigint NOT NULL DEFAULT 0
);

-- Held jobs by entrypoint. Without it, whoever counts or lists them reads the whole queue. A row that is not held is not in it.
CREATE INDEX IF NOT EXISTS {queue.bare}_held ON {queue} USING btree (entrypoint, id) WHERE (status = 'failed'::{status});

-- Failed runs by time, of any worker: a few of the log's rows. The others are not in it.
CREATE INDEX IF NOT EXISTS {log.bare}_failures ON {log} USING btree (created, id) WHERE (traceback IS NOT NULL);

-- How operators changed schedules: that their ticks are skipped, or the expression by which hosts run them instead. `expression` and
-- `entrypoint` are those that the plugin declares, the key in PgQueuer's table. So a change outlives the row, the host and the version.
CREATE TABLE IF NOT EXISTS {adjustment} (
    id bigint GENERATED ALWAYS AS IDENTITY NOT NULL PRIMARY KEY,
    expression text NOT NULL,
    entrypoint text NOT NULL,
    paused boolean NOT NULL DEFAULT false,
    replaced text,
    reason text,
    author text NOT NULL,
    role text NOT NULL,
    changed timestamp with time zone NOT NULL DEFAULT now(),
    UNIQUE (expression, entrypoint)
);

-- Why runs failed, counted: one row for each cause, with the versions of plugins that it occurred in, the first one first. Hosts fold the
-- log's failures into it, one host at a time; how far they are is a row of {retention}.
CREATE TABLE IF NOT EXISTS {cause} (
    key text NOT NULL PRIMARY KEY,
    entrypoint text NOT NULL,
    exception_type text NOT NULL,
    message text NOT NULL,
    frame text,
    last_message text NOT NULL,
    failures bigint NOT NULL,
    first_seen timestamp with time zone NOT NULL,
    last_seen timestamp with time zone NOT NULL,
    examples bigint[] NOT NULL,
    versions jsonb NOT NULL
);

CREATE INDEX IF NOT EXISTS {cause.bare}_last_seen ON {cause} USING btree (last_seen);
