//! Handlers in the database: what they wrote and their outcome are one transaction, under a role of
//! their own.

use std::path::PathBuf;

use pgq_host_tests::{Database, Host, Plugins, eventually};
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};

/// A database with accounts, and a role that may use them and nothing else.
struct World {
    database: Database,
    plugins: Plugins,
    role: String,
    password: PathBuf,
}

impl World {
    async fn new() -> World {
        let (database, plugins) = (Database::new().await, Plugins::with(&["sql", "hostile"]));
        let name: String =
            sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
        let role = format!("h_{name}");
        // Roles belong to the server, and databases are dropped without them.
        database.execute(&format!("DROP ROLE IF EXISTS {role}")).await;
        database.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'pass word'")).await;
        let password = plugins.path().join("password");
        std::fs::write(&password, "pass word\n").unwrap();
        for sql in [
            "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL)",
            "CREATE TABLE move (job bigint PRIMARY KEY, amount bigint NOT NULL)",
            "CREATE TABLE seen (job bigint PRIMARY KEY)",
            "CREATE TABLE private (secret text)",
            "INSERT INTO private VALUES ('s3cret')",
            "INSERT INTO account SELECT id, 1000 FROM generate_series(1, 20) id",
        ] {
            database.execute(sql).await;
        }
        database.execute(&format!("CREATE SCHEMA own AUTHORIZATION {role}")).await;
        database.execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE ON account, move, seen TO {role}")).await;
        let world = World { database, plugins, role, password };
        world.grant().await;
        world
    }

    /// What `pgq-host grant` does for the role that the tests' hosts work as.
    async fn grant(&self) {
        let mut connection = self.database.connect().await;
        let user: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(&mut connection).await.unwrap();
        let names = pgq_queue::names::Names::new(&Default::default(), |_| None).unwrap();
        let role = |name: &str| pgq_queue::schema::Role::new(name).unwrap();
        pgq_queue::schema::grant_handler(&mut connection, &names, &role(&user), &role(&self.role)).await.unwrap();
    }

    fn configure(&self, more: &str) {
        let text = format!(
            "[plugins.hostile]\nenqueue = [\"*\"]\n[plugins.sql]\nenqueue = [\"follow\"]\n[plugins.sql.sql]\nrole = \"{}\"\npassword = {{ file = {:?} }}\n{more}\n",
            self.role,
            self.password.to_str().unwrap()
        );
        std::fs::write(self.plugins.config(), text).unwrap();
    }

    async fn host(&self) -> Host {
        self.host_with(&[]).await
    }

    async fn host_with(&self, args: &[&str]) -> Host {
        self.configure("");
        Host::start(&self.database, &self.plugins, args).await
    }

    /// A session of the role.
    async fn session(&self) -> PgConnection {
        let dsn = self.database.dsn();
        let (_, place) = dsn.rsplit_once('@').unwrap();
        PgConnection::connect(&format!("postgresql://{}:pass%20word@{place}", self.role)).await.unwrap()
    }

    async fn enqueue(&self, entrypoint: &str, steps: Value) -> i64 {
        self.database.enqueue(entrypoint, steps.to_string()).await
    }

    /// Run these steps to success, and return what came of each.
    async fn run(&self, steps: Value) -> Vec<Value> {
        let id = self.enqueue("patient", steps).await;
        self.done(id).await
    }

    async fn done(&self, id: i64) -> Vec<Value> {
        eventually(&format!("job {id} ended"), async || {
            self.database.history(id).await.pop().is_some_and(|last| !["queued", "picked"].contains(&&*last))
        })
        .await;
        if self.database.history(id).await.pop().as_deref() != Some("successful") {
            panic!("job {id}: {}", self.database.traceback(id).await);
        }
        serde_json::from_str(&self.database.output(id).await.unwrap()).unwrap()
    }

    /// Run these steps to a failure, and return its traceback.
    async fn fail(&self, entrypoint: &str, steps: Value) -> Value {
        let id = self.enqueue(entrypoint, steps).await;
        eventually(&format!("job {id} failed"), async || {
            let ended = self.database.history(id).await.pop();
            assert_ne!(ended.as_deref(), Some("successful"), "job {id}");
            ended.as_deref() == Some("failed")
        })
        .await;
        self.database.traceback(id).await
    }

    async fn balance(&self, id: i64) -> i64 {
        self.database.count(&format!("SELECT balance FROM account WHERE id = {id}")).await
    }

    /// No session of the role is left at work.
    async fn sessions_at_work(&self) -> i64 {
        self.database
            .count(&format!(
                "SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND state <> 'idle'",
                self.role
            ))
            .await
    }
}

fn add(amount: i64) -> Value {
    json!({"execute": ["UPDATE account SET balance = balance + $1 WHERE id = 1", [amount]]})
}

#[tokio::test]
async fn what_a_run_wrote_its_outcome_and_its_follow_ups_are_there_together_or_not_at_all() {
    let world = World::new().await;
    let host = world.host().await;
    let output = world
        .run(json!([add(5), {"follow": ["follow", null]}, {"query": ["SELECT balance FROM account WHERE id = 1"]}]))
        .await;
    assert_eq!(output, [json!(1), json!([["One(Int64(1005))"]])]);
    assert_eq!(world.balance(1).await, 1005);
    world.database.wait_until_done().await;
    assert_eq!(
        world
            .database
            .count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'follow' AND status = 'successful'")
            .await,
        1
    );
    // One transaction wrote the row, and ended the job.
    let id = world.enqueue("once", json!([add(1)])).await;
    world.done(id).await;
    let same = format!(
        "SELECT count(*) FROM account a, pgqueuer_log l WHERE a.id = 1 AND l.job_id = {id} AND l.status = 'successful' AND a.xmin = l.xmin"
    );
    assert_eq!(world.database.count(&same).await, 1);

    let snoozed = world.enqueue("once", json!([add(10), {"end": "snooze"}])).await;
    eventually("it is snoozed", async || world.balance(1).await == 1016).await;
    assert_eq!(
        world
            .database
            .count(&format!("SELECT attempts::bigint FROM pgqueuer WHERE id = {snoozed} AND status = 'queued'"))
            .await,
        0
    );
    let discarded = world.enqueue("once", json!([add(100), {"follow": ["follow", null]}, {"end": "discard"}])).await;
    world.database.wait_for(discarded, "canceled").await;
    assert_eq!(world.balance(1).await, 1116);
    assert_eq!(
        world
            .database
            .count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'follow' AND status = 'queued'")
            .await,
        1
    );
    for (end, kind) in [("retry", "Retry"), ("reject", "Reject"), ("trap", "Trap"), ("loop", "DeadlineExceeded")] {
        let entrypoint = if end == "loop" { "brief" } else { "once" };
        let traceback = world.fail(entrypoint, json!([add(1000), {"follow": ["follow", null]}, {"end": end}])).await;
        assert_eq!(traceback["exception_type"], kind);
        assert_eq!(world.balance(1).await, 1116, "{end}");
    }
    let claims = world
        .database
        .count(&format!("SELECT count(*) FROM pgqueuer_log WHERE job_id = {id} AND status = 'picked'"))
        .await;
    assert_eq!(claims, 1);
    eventually("no session is at work", async || world.sessions_at_work().await == 0).await;
    host.stop().await;
}

#[tokio::test]
async fn a_run_that_was_cancelled_lost_or_killed_leaves_nothing() {
    let world = World::new().await;
    let host = world.host_with(&["--heartbeat-timeout", "4"]).await;
    let waits = json!([add(7), {"query": ["SELECT pg_sleep(600)::text"]}]);
    let at_work = || async { world.sessions_at_work().await == 1 };
    let cancelled = world.enqueue("steps", waits.clone()).await;
    eventually("it waits", at_work).await;
    world
        .database
        .execute(&format!("UPDATE pgqueuer SET queue_manager_id = gen_random_uuid() WHERE id = {cancelled}"))
        .await;
    eventually("its session is gone", async || world.sessions_at_work().await == 0).await;
    world.database.execute(&format!("DELETE FROM pgqueuer WHERE id = {cancelled}")).await;
    assert_eq!(world.balance(1).await, 1000);

    // The row is taken away in the last moment: the run's own commit finds that out.
    let late = world
        .enqueue("steps", json!([add(7), {"query": ["SELECT pg_sleep(0.2)::text"]}, {"execute": ["SELECT 1"]}]))
        .await;
    eventually("it runs", at_work).await;
    world.database.execute(&format!("UPDATE pgqueuer SET updated = now() WHERE id = {late}")).await;
    eventually("its session is done", async || world.sessions_at_work().await == 0).await;
    assert_eq!(world.balance(1).await, 1000);
    world.database.execute(&format!("DELETE FROM pgqueuer WHERE id = {late}")).await;

    // The backend dies: the run fails, and runs again.
    let cut = world.enqueue("steps", json!([add(7), {"query": ["SELECT pg_sleep(0.3)::text"]}])).await;
    eventually("it runs", at_work).await;
    world
        .database
        .execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", world.role))
        .await;
    world.database.wait_for(cut, "successful").await;
    assert_eq!(world.balance(1).await, 1007);

    // The host dies.
    let killed = world.enqueue("steps", json!([add(7), {"query": ["SELECT pg_sleep(0.5)::text"]}])).await;
    eventually("it runs", at_work).await;
    host.kill().await;
    let host = world.host().await;
    world.database.wait_for(killed, "successful").await;
    assert_eq!(world.balance(1).await, 1014);
    host.stop().await;
}

#[tokio::test]
async fn money_is_neither_made_nor_lost_while_hosts_and_sessions_are_killed() {
    const JOBS: i64 = 300;
    let world = World::new().await;
    let (mut one, other) = (world.host().await, world.host().await);
    for n in 0..JOBS {
        world.database.enqueue("transfer", json!([n % 20 + 1, (n * 7 + 3) % 20 + 1, n % 50 + 1]).to_string()).await;
    }
    for round in 0..4 {
        let so_far = JOBS / 6 * (round + 1);
        eventually("some are done", async || world.database.count("SELECT count(*) FROM move").await >= so_far).await;
        if round == 1 {
            one.kill().await;
            one = world.host().await;
        } else {
            world
                .database
                .execute(&format!(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'",
                    world.role
                ))
                .await;
        }
    }
    world.database.wait_until_done().await;
    assert_eq!(world.database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await, 0);
    assert_eq!(world.database.count("SELECT sum(balance)::bigint FROM account").await, 20_000);
    assert_eq!(world.database.count("SELECT count(*) FROM move").await, JOBS);
    let exact = "SELECT count(*) FROM account a WHERE balance <> 1000 + coalesce((SELECT sum(CASE WHEN t = a.id THEN amount ELSE 0 END - CASE WHEN f = a.id THEN amount ELSE 0 END) FROM (SELECT m.amount, ((n * 7 + 3) % 20) + 1 AS t, (n % 20) + 1 AS f FROM (SELECT amount, row_number() OVER (ORDER BY job) - 1 AS n FROM move) m) x), 0)";
    assert_eq!(world.database.count(exact).await, 0, "each move is in both balances, once");
    assert_eq!(world.database.count("SELECT count(*) FROM pgqueuer_output").await, JOBS);
    one.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn values_of_all_types_come_back_as_they_went() {
    let world = World::new().await;
    let host = world.host().await;
    world.database.execute("CREATE TYPE own.colour AS ENUM ('red', 'green')").await;
    world.database.execute("CREATE DOMAIN own.positive AS int CHECK (VALUE > 0)").await;
    let select = "SELECT NULL::int, true, 1::int2, 2::int4, 3::int8, 1.5::float4, 2.5::float8, 123456789012345678901234567890.0123::numeric, \
        'text'::text, 'v'::varchar, '\\x00ff'::bytea, '{\"a\":1}'::jsonb, '{\"a\": 1}'::json, '00000000-0000-0000-0000-00000000000a'::uuid, \
        '1970-01-02'::date, '00:00:01'::time, '1970-01-01 00:00:01'::timestamp, '1970-01-01 00:00:01+00'::timestamptz, \
        '1 month 2 days 3 seconds'::interval, ARRAY[1,NULL,3], ARRAY['a','b'], ARRAY[]::int[], 'red'::own.colour, 5::own.positive, 'infinity'::timestamptz, 'n'::name";
    let rows = world.run(json!([{"query": [select]}])).await;
    let row = rows[0][0].as_array().unwrap().iter().map(|value| value.as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(
        row,
        [
            "One(Null)",
            "One(Boolean(true))",
            "One(Int16(1))",
            "One(Int32(2))",
            "One(Int64(3))",
            "One(Float32(1.5))",
            "One(Float64(2.5))",
            "One(Numeric(\"123456789012345678901234567890.0123\"))",
            "One(Text(\"text\"))",
            "One(Text(\"v\"))",
            "One(Bytes([0, 255]))",
            "One(Json(\"{\\\"a\\\": 1}\"))",
            "One(Json(\"{\\\"a\\\": 1}\"))",
            "One(Uuid(\"00000000-0000-0000-0000-00000000000a\"))",
            "One(Date(Date(1)))",
            "One(Time(Time(1000000)))",
            "One(Timestamp(Timestamp(1000000)))",
            "One(Timestamptz(1000000))",
            "One(Interval(Interval { months: 1, days: 2, microseconds: 3000000 }))",
            "Many([Int32(1), Null, Int32(3)])",
            "Many([Text(\"a\"), Text(\"b\")])",
            "Many([])",
            "One(Text(\"red\"))",
            "One(Int32(5))",
            "One(Timestamptz(9223372036854775807))",
            "One(Text(\"n\"))",
        ]
    );
    // Parameters take the type that the statement wants.
    let typed = world
        .run(json!([{"query": ["SELECT $1::numeric * 2, $2::date, $3::own.colour, $4::inet::text, $5::int[], $6::text[], $7::bytea, $8::jsonb, $9::interval, $10::int",
            ["0.1", "2026-11-26", "green", "10.0.0.1", [1, null], ["a\"b", "{,}", null], "\\x01", {"k": [1]}, "-1 day", null]]}]))
        .await;
    assert_eq!(
        typed[0][0],
        json!([
            "One(Numeric(\"0.2\"))",
            "One(Date(Date(20783)))",
            "One(Text(\"green\"))",
            "One(Text(\"10.0.0.1/32\"))",
            "Many([Int32(1), Null])",
            "Many([Text(\"a\\\"b\"), Text(\"{,}\"), Null])",
            "One(Bytes([1]))",
            "One(Json(\"{\\\"k\\\": [1]}\"))",
            "One(Interval(Interval { months: 0, days: -1, microseconds: 0 }))",
            "One(Null)"
        ])
    );
    let fault = world.fail("once", json!([{"query": ["SELECT '10.0.0.1'::inet AS address"]}])).await;
    assert!(fault["exception_message"].as_str().unwrap().contains("cast it to text"), "{fault}");
    host.stop().await;
}

#[tokio::test]
async fn an_error_has_what_the_server_says_and_a_savepoint_undoes_it() {
    let world = World::new().await;
    let host = world.host().await;
    let fails = json!({"execute": ["INSERT INTO account VALUES (1, 1)"]});
    let output = world.run(json!([add(1), {"savepoint": [add(10), fails]}, add(100)])).await;
    assert!(output[2].as_str().unwrap().contains("duplicate key"), "{output:?}");
    assert_eq!(world.balance(1).await, 1101);
    // Nested, and one whose handle is dropped.
    world.run(json!([{"savepoint": [add(1), {"savepoint": [add(10), fails]}, add(1)]}, {"leave-open": "UPDATE account SET balance = 0"}])).await;
    assert_eq!(world.balance(1).await, 1103);
    let told = world.run(json!([{"savepoint": [{"repeat": [1, "INSERT INTO account VALUES (1, 1)"]}]}])).await;
    let error = &told[0][1];
    assert_eq!(
        [&error["kind"], &error["sqlstate"], &error["constraint"], &error["table"]],
        ["Database", "23505", "account_pkey", "account"]
    );
    // Outside of a savepoint it costs the run.
    let fault = world.fail("once", json!([add(1), {"repeat": [1, "SELECT 1/0"]}])).await;
    assert_eq!(fault["exception_type"], "CommitRefused");
    assert!(fault["exception_message"].as_str().unwrap().contains("division by zero"), "{fault}");
    let fault = world.fail("once", json!([{"query": ["SELECT * FROM private"]}])).await;
    assert!(fault["exception_message"].as_str().unwrap().contains("42501"), "{fault}");
    assert_eq!(world.balance(1).await, 1103);
    host.stop().await;
}

/// Each of these is tried in a savepoint; returns what PostgreSQL or the host says to it.
async fn attempts(world: &World, statements: &[&str]) -> Vec<String> {
    let steps: Vec<Value> = statements.iter().map(|sql| json!({"savepoint": [{"query": [sql]}]})).collect();
    let output = world.run(json!(steps)).await;
    output.iter().map(|told| told.as_str().map_or_else(|| format!("DONE: {told}"), str::to_owned)).collect()
}

#[tokio::test]
async fn the_role_cannot_be_left_nor_the_transaction_ended() {
    let world = World::new().await;
    let host = world.host().await;
    world.database.execute("CREATE PROCEDURE own.commits() LANGUAGE plpgsql AS 'BEGIN COMMIT; END'").await;
    let me: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(world.database.pool()).await.unwrap();
    let attacks = [
        (format!("SELECT set_config('role', '{me}', false)"), "42501"),
        (format!("SELECT set_config('session_authorization', '{me}', true)"), "42501"),
        (format!("DO $$ BEGIN SET ROLE {me}; END $$"), "42501"),
        (format!("DO $$ BEGIN SET SESSION AUTHORIZATION {me}; END $$"), "42501"),
        ("DO $$ BEGIN RESET SESSION AUTHORIZATION; RESET ROLE; PERFORM * FROM public.private; END $$".into(), "42501"),
        ("DO $$ BEGIN COMMIT; END $$".into(), "2D000"),
        ("DO $$ BEGIN EXECUTE 'COMMIT'; END $$".into(), "0A000"),
        ("DO $$ BEGIN EXECUTE 'SAVEPOINT a'; END $$".into(), "0A000"),
        ("CALL own.commits()".into(), "2D000"),
        ("SELECT 1; COMMIT".into(), "42601"),
        ("COMMIT".into(), "refused"),
        ("/**/ROLLBACK".into(), "refused"),
        ("RESET ROLE".into(), "refused"),
        ("SET ROLE postgres".into(), "refused"),
        ("PREPARE TRANSACTION 'x'".into(), "refused"),
        ("COPY account TO STDOUT".into(), "refused"),
        ("COPY account TO PROGRAM 'id'".into(), "refused"),
        ("LISTEN ch_pgqueuer".into(), "refused"),
        ("DO $$ BEGIN COPY public.account TO PROGRAM 'id'; END $$".into(), "42501"),
        ("DO $$ BEGIN COPY own.t FROM '/etc/passwd'; END $$".into(), "SQLSTATE"),
        ("SELECT lo_export(lo_from_bytea(0, 'x'), '/tmp/pgq-host-attack')".into(), "42501"),
        ("SELECT pg_read_file('/etc/passwd')".into(), "42501"),
        ("CREATE EXTENSION dblink".into(), "SQLSTATE"),
        (format!("ALTER ROLE {} SUPERUSER", world.role), "42501"),
        (format!("GRANT {me} TO {}", world.role), "SQLSTATE"),
        ("SELECT * FROM pgqueuer".into(), "42501"),
        ("DELETE FROM pgqueuer".into(), "42501"),
        ("SELECT handler_key FROM pgqueuer_host".into(), "42501"),
        ("CREATE TRIGGER t BEFORE DELETE ON pgqueuer FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()".into(), "42501"),
        ("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = session_user AND pid <> pg_backend_pid() OR usename <> session_user".into(), "42501"),
        ("ALTER SYSTEM SET log_statement = 'all'".into(), "SQLSTATE"),
        ("SELECT set_config('session_replication_role', 'replica', false)".into(), "42501"),
    ];
    let statements: Vec<&str> = attacks.iter().map(|(sql, _)| &**sql).collect();
    let told = attempts(&world, &statements).await;
    for ((sql, wanted), told) in attacks.iter().zip(&told) {
        let told = if *wanted == "refused" {
            told.replace("is no statement for handlers", "is refused")
        } else {
            told.clone()
        };
        assert!(told.contains(wanted), "{sql}: {told}");
    }
    let who = world.run(json!([{"query": ["SELECT session_user::text, current_user::text"]}])).await;
    let role = format!("One(Text({:?}))", world.role);
    assert_eq!(who[0][0], json!([role, role]));
    host.stop().await;
}

fn functions() -> [String; 2] {
    pgq_queue::schema::handler_functions(&pgq_queue::names::Names::new(&Default::default(), |_| None).unwrap())
}

const FORGED: &str = "SELECT FUNCTION(ARRAY[%]::bigint[], (SELECT $w$%w$w$::uuid), ARRAY[now()], ARRAY[1], ARRAY[1]::bigint[], ARRAY[1]::bigint[], \
    ARRAY[1]::bigint[], ARRAY['successful'], ARRAY[NULL]::text[], ARRAY[NULL]::bytea[], ARRAY[]::bigint[], ARRAY[]::int[], ARRAY[]::text[], \
    ARRAY[]::bytea[], ARRAY[]::bigint[], ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::text[], ARRAY[]::text[], ARRAY[1]::bigint[], \
    ARRAY[NULL]::bigint[], ARRAY[NULL]::bigint[], ARRAY[NULL]::int[], ARRAY[NULL]::bytea[], ARRAY[NULL]::bigint[], ARRAY[NULL]::bigint[], \
    ARRAY[NULL]::boolean[], TOKEN)";

#[tokio::test]
async fn only_the_host_records_an_outcome_whatever_is_planted_in_its_way() {
    let world = World::new().await;
    let host = world.host().await;
    let other = world.enqueue("steps", json!([{"query": ["SELECT pg_sleep(600)::text"]}])).await;
    eventually("it runs", async || world.sessions_at_work().await == 1).await;
    let me: String = sqlx::query_scalar("SELECT queue_manager_id::text FROM pgqueuer WHERE id = $1")
        .bind(other)
        .fetch_one(world.database.pool())
        .await
        .unwrap();
    let [end, back] = functions();
    let forged = FORGED.replace("FUNCTION", &end).replace("%w", &me).replace('%', &other.to_string());
    let forged =
        [forged.replace("TOKEN", "NULL"), forged.replace("TOKEN", "'x'"), forged.replace("TOKEN", "sha256(''::bytea)")];
    for told in attempts(&world, &forged.iter().map(|sql| &**sql).collect::<Vec<_>>()).await {
        assert!(told.contains("only the host records outcomes"), "{told}");
    }
    assert_eq!(
        world
            .database
            .count(&format!("SELECT count(*) FROM pg_proc WHERE proname IN ('{end}', '{back}') AND prosecdef"))
            .await,
        2
    );
    // A function of the same name first in the search_path, and what the host's own statements could
    // be led to; also for all sessions to come.
    let mut session = world.session().await;
    let types = "bigint[], uuid, timestamptz[], integer[], bigint[], bigint[], bigint[], text[], text[], bytea[], bigint[], integer[], text[], \
        bytea[], bigint[], text[], text[], text[], text[], bigint[], bigint[], bigint[], integer[], bytea[], bigint[], bigint[], boolean[], bytea";
    for sql in [
        "CREATE TABLE own.caught (what text)".to_owned(),
        format!("CREATE FUNCTION own.{end}({types}) RETURNS SETOF bigint LANGUAGE sql AS $$ INSERT INTO own.caught VALUES (encode($28, 'hex')) RETURNING 1::bigint $$"),
        "CREATE FUNCTION own.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT '2000-01-01'::timestamptz $$".into(),
        "CREATE FUNCTION own.pg_backend_pid() RETURNS int LANGUAGE sql AS $$ SELECT 1 $$".into(),
        "CREATE FUNCTION own.pg_current_xact_id() RETURNS xid8 LANGUAGE sql AS $$ SELECT '1'::xid8 $$".into(),
        "CREATE FUNCTION own.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$".into(),
        "CREATE FUNCTION own.times(numeric, integer) RETURNS numeric LANGUAGE plpgsql AS $$ BEGIN INSERT INTO own.caught VALUES ('operator'); RETURN 1; END $$".into(),
        "CREATE OPERATOR own.* (LEFTARG = numeric, RIGHTARG = integer, FUNCTION = own.times)".into(),
        // At the commit, when the host's statements are under way.
        "CREATE FUNCTION own.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO own.caught SELECT 'query ' || current_query(); \
            INSERT INTO own.caught SELECT 'prepared ' || statement FROM pg_prepared_statements; \
            PERFORM set_config('client_encoding', 'LATIN1', false); RETURN NULL; END $$".into(),
        "CREATE TABLE own.planted (n int)".into(),
        "CREATE CONSTRAINT TRIGGER planted AFTER INSERT ON own.planted DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION own.at_commit()".into(),
        format!("ALTER ROLE {} SET search_path = own, pg_catalog, public", world.role),
        format!("ALTER ROLE {} SET standard_conforming_strings = off", world.role),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut session).await.unwrap();
    }
    world
        .database
        .execute(&format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}' AND state = 'idle'",
            world.role
        ))
        .await;
    let output = world
        .run(json!([{"execute": ["INSERT INTO own.planted VALUES (1)"]}, {"execute": ["SELECT set_config('search_path', 'own, pg_catalog, public', false)"]}, add(1), {"query": ["SELECT 'Grüße'::text"]}]))
        .await;
    assert!(output[3][0][0].as_str().unwrap().contains("Grüße"), "{output:?}");
    assert_eq!(world.balance(1).await, 1001);
    let caught: Vec<String> =
        sqlx::query_scalar("SELECT what FROM own.caught").fetch_all(world.database.pool()).await.unwrap();
    assert!(caught.iter().any(|what| what.starts_with("query SET CONSTRAINTS ALL IMMEDIATE")), "{caught:?}");
    assert!(caught.iter().all(|what| what.starts_with("query ") || what.starts_with("prepared ")), "{caught:?}");
    assert!(!caught.iter().any(|what| what.contains(&end)), "{caught:?}");
    let mut session = world.session().await;
    // A trigger that does what the role may not costs the run, and one that takes for ever its time.
    for (body, wanted) in
        [("DELETE FROM public.pgqueuer;", "42501"), ("PERFORM pg_sleep(600);", "could not be committed")]
    {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "CREATE OR REPLACE FUNCTION own.at_commit() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('statement_timeout', '0', true); {body} RETURN NULL; END $$"
        )))
        .execute(&mut session)
        .await
        .unwrap();
        let fault = world.fail("brief", json!([{"execute": ["INSERT INTO own.planted VALUES (1)"]}, add(1)])).await;
        assert!(fault["exception_message"].as_str().unwrap().contains(wanted), "{fault}");
    }
    // A cursor that a commit would run to its end is closed before it.
    let hold = "DO $$ BEGIN EXECUTE 'DECLARE c CURSOR WITH HOLD FOR SELECT pg_sleep(600)'; END $$";
    let _ = world.run(json!([{"savepoint": [{"execute": [hold]}]}, add(1)])).await;
    assert_eq!(world.balance(1).await, 1002);
    host.kill().await;
}

#[tokio::test]
async fn a_run_leaves_nothing_in_its_session_for_the_next() {
    let world = World::new().await;
    world.configure("");
    let host = Host::start(&world.database, &world.plugins, &["--sql-sessions", "1"]).await;
    let leaves = "DO $$ BEGIN EXECUTE 'CREATE TEMP TABLE account AS SELECT 1 AS id'; EXECUTE 'PREPARE left_over AS SELECT 1'; \
        PERFORM pg_advisory_lock(42); PERFORM set_config('search_path', 'own', false); PERFORM set_config('statement_timeout', '1', false); \
        PERFORM set_config('lock_timeout', '1', false); EXECUTE 'LISTEN somebody'; END $$";
    let who = json!({"query": ["SELECT pg_backend_pid()"]});
    let first = world.run(json!([who, {"execute": [leaves]}])).await;
    let second = world
        .run(json!([
            who,
            {"query": ["SELECT count(*) FROM account"]},
            {"query": ["SELECT (SELECT count(*) FROM pg_prepared_statements WHERE name = 'left_over') + (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()) + (SELECT count(*) FROM pg_listening_channels())"]},
            {"query": ["SELECT current_setting('search_path')"]},
            {"query": ["SELECT 1 FROM pg_sleep(0.1)"]}
        ]))
        .await;
    assert_eq!(first[0], second[0], "the same session");
    assert_eq!(second[1][0][0], "One(Int64(20))");
    assert_eq!(second[2][0][0], "One(Int64(0))");
    assert!(second[3][0][0].as_str().unwrap().contains("public"), "{second:?}");
    // Neither does one that failed.
    world.fail("once", json!([{"execute": [leaves]}, {"end": "reject"}])).await;
    let third = world.run(json!([{"query": ["SELECT count(*) FROM account"]}])).await;
    assert_eq!(third[0][0][0], "One(Int64(20))");
    // Two cursors of one run take turns, and a kept instance has a new transaction for each job.
    let zip = world.run(json!([{"zip": ["SELECT generate_series(1, 500)::bigint", "SELECT 2::bigint FROM generate_series(1, 500)"]}])).await;
    assert_eq!(zip[0], 250_500);
    for n in 1..=3 {
        let id = world.enqueue("kept", json!([add(1)])).await;
        world.done(id).await;
        assert_eq!(world.balance(1).await, 1000 + n);
    }
    host.stop().await;
}

#[tokio::test]
async fn what_takes_for_ever_ends_with_its_run_and_keeps_no_neighbour() {
    let world = World::new().await;
    world.configure("");
    let host = Host::start(&world.database, &world.plugins, &["--sql-sessions", "2"]).await;
    // No statement of the server's stops this one: not its timeout, and no request to cancel.
    let stubborn = "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); LOOP BEGIN PERFORM pg_sleep(600); \
        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";
    for sql in ["SELECT pg_sleep(600)::text", stubborn] {
        let fault = world.fail("brief", json!([add(1), {"query": [sql]}])).await;
        let kind = fault["exception_type"].as_str().unwrap();
        assert!(["DeadlineExceeded", "Retry"].contains(&kind), "{fault}");
    }
    eventually("both sessions are gone", async || world.sessions_at_work().await == 0).await;
    // All sessions are taken: others with the same need wait, and jobs without it do not.
    let sleepers = [
        world.enqueue("steps", json!([{"query": ["SELECT pg_sleep(600)::text"]}])).await,
        world.enqueue("steps", json!([{"query": ["SELECT pg_sleep(600)::text"]}])).await,
    ];
    eventually("both sleep", async || world.sessions_at_work().await == 2).await;
    let waits = world.fail("brief", json!([{"query": ["SELECT 1"]}])).await;
    assert_eq!(waits["exception_type"], "DeadlineExceeded");
    let neighbour = world.database.enqueue("follow", "").await;
    world.database.wait_for(neighbour, "successful").await;
    let more = world.enqueue("steps", json!([{"query": ["SELECT 7"]}])).await;
    world
        .database
        .execute(&format!("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", world.role))
        .await;
    world.database.wait_for(more, "successful").await;
    world
        .database
        .execute(&format!("DELETE FROM pgqueuer WHERE id = ANY (ARRAY[{}, {}])", sleepers[0], sleepers[1]))
        .await;
    assert_eq!(world.balance(1).await, 1000);
    host.kill().await;
}

#[tokio::test]
async fn another_database_is_committed_before_the_outcome_and_its_sessions_end_with_their_runs() {
    let (world, other) = (World::new().await, Database::empty().await);
    other.execute("CREATE TABLE goods (id bigint PRIMARY KEY)").await;
    other.execute(&format!("GRANT SELECT, INSERT ON goods TO {}", world.role)).await;
    let place = |role: &str| {
        let dsn = other.dsn();
        let (_, place) = dsn.rsplit_once('@').unwrap();
        format!("postgresql://{role}@{place}")
    };
    let configure = |dsn: &str| {
        let password = world.password.to_str().unwrap();
        let text = format!(
            "[plugins.sql]\nenqueue = [\"follow\"]\n[plugins.sql.sql]\ndsn = {dsn:?}\npassword = {{ file = {password:?} }}\n"
        );
        std::fs::write(world.plugins.config(), text).unwrap();
    };
    configure(&place(&world.role));
    let host = Host::start(&world.database, &world.plugins, &[]).await;
    let goods = async || other.count("SELECT count(*) FROM goods").await;
    let insert = |id: i64| json!({"execute": ["INSERT INTO goods VALUES ($1)", [id]]});
    let answers = world
        .run(json!([insert(1), {"query": ["SELECT current_database()::text"]}, {"follow": ["follow", null]}]))
        .await;
    assert!(answers[1].to_string().contains(other.dsn().rsplit('/').next().unwrap()), "{answers:?}");
    assert_eq!(goods().await, 1);
    // The outcome is recorded with all that belongs to it, in the queue's own database.
    assert_eq!(
        world
            .database
            .count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'follow' AND status = 'queued'")
            .await,
        1
    );
    for end in ["retry", "reject", "trap"] {
        world.fail("once", json!([insert(2), {"end": end}])).await;
    }
    let refused = world.fail("once", json!([insert(1)])).await;
    assert!(refused.to_string().contains("goods_pkey") || refused.to_string().contains("23505"), "{refused}");
    assert_eq!(goods().await, 1, "what did not end well is rolled back");
    // No request to cancel stops this one: another session of the role ends it.
    let stubborn = "DO $$ BEGIN PERFORM set_config('statement_timeout', '0', false); LOOP BEGIN PERFORM pg_sleep(600); \
        EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END $$";
    world.fail("brief", json!([insert(3), {"query": [stubborn]}])).await;
    eventually("its session is gone", async || world.sessions_at_work().await == 0).await;
    assert_eq!(goods().await, 1);
    host.kill().await;
    // A role that reaches past its database is refused there as well.
    other.execute(&format!("GRANT pg_read_server_files TO {}", world.role)).await;
    configure(&place(&world.role));
    let host = Host::start(&world.database, &world.plugins, &[]).await;
    let refused = world.fail("once", json!([{"query": ["SELECT 1"]}])).await;
    assert!(refused.to_string().contains("cannot be that of handlers"), "{refused}");
    other.execute(&format!("REVOKE pg_read_server_files FROM {}", world.role)).await;
    host.kill().await;
}

#[tokio::test]
async fn results_statements_and_noise_have_an_end() {
    let world = World::new().await;
    let host = world.host().await;
    let before = host.resident_bytes();
    let drained = |sql: &str| json!([{"drain": sql}, {"end": "reject"}]);
    let of = |sql: &str| json!([{"drain": sql}]);
    // 10 GB in rows of 100 kB; one row of 500 MB; a notice of 100 MB.
    let large = world.enqueue("patient", of("SELECT repeat('x', 100000) FROM generate_series(1, 100000)")).await;
    world.database.wait_for(large, "failed").await;
    let fault = world.database.traceback(large).await;
    assert!(fault["exception_message"].as_str().unwrap().contains("could not be committed"), "{fault}");
    for sql in ["SELECT repeat('x', 500000000)", "SELECT repeat('x', 100000) FROM generate_series(1, 100000)"] {
        world.fail("patient", drained(sql)).await;
    }
    let noise = "DO $$ BEGIN FOR n IN 1..10000 LOOP RAISE NOTICE '%', repeat('x', 10000); END LOOP; END $$";
    world.fail("patient", json!([{"execute": [noise]}])).await;
    host.wait_for_memory_below(before + (150 << 20)).await;
    // A million rows in portions is fine, and one more is not.
    let rows = world.run(of("SELECT generate_series(1, 1000000)")).await;
    assert_eq!(rows[0], json!([1_000_000, null]));
    let rows = world.run(of("SELECT generate_series(1, 1000100)")).await;
    assert_eq!(rows[0][1]["kind"], "Limit", "{rows:?}");
    let many = world.run(json!([{"repeat": [1_000_000, "SELECT 1"]}])).await;
    assert_eq!((&many[0][0], &many[0][1]["kind"]), (&json!(10_000), &json!("Limit")), "{many:?}");
    // One that says that a job of another is cancelled is not believed.
    let victim = world.database.enqueue("nap", "1500").await;
    eventually("it runs", async || {
        world.database.count(&format!("SELECT count(*) FROM pgqueuer WHERE id = {victim} AND status = 'picked'")).await
            == 1
    })
    .await;
    let forged = json!({"type": "cancellation_event", "channel": "ch_pgqueuer", "ids": [victim]}).to_string();
    world.run(json!([{"query": [format!("SELECT pg_notify('ch_pgqueuer', '{forged}')::text")]}])).await;
    host.wait_for_log("from a role that cannot cancel jobs").await;
    world.database.wait_for(victim, "successful").await;
    // A flood of notifications wakes the host now and then, and nothing else.
    let flood = "SELECT count(pg_notify('ch_pgqueuer', repeat('x', 100) || n)) FROM generate_series(1, 20000) n";
    world.run(json!([{"query": [flood]}])).await;
    let neighbour = world.database.enqueue("follow", "").await;
    world.database.wait_for(neighbour, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn nothing_is_granted_to_a_role_that_could_do_more() {
    let world = World::new().await;
    let host = world.host().await;
    let me: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(world.database.pool()).await.unwrap();
    let (role, [_, back]) = (&world.role, functions());
    for (give, take, wanted) in [
        (format!("ALTER ROLE {role} SUPERUSER"), format!("ALTER ROLE {role} NOSUPERUSER"), "superuser"),
        (format!("ALTER ROLE {role} CREATEROLE"), format!("ALTER ROLE {role} NOCREATEROLE"), "CREATEROLE"),
        (
            format!("GRANT TRIGGER ON pgqueuer TO {role}"),
            format!("REVOKE TRIGGER ON pgqueuer FROM {role}"),
            "TRIGGER on pgqueuer",
        ),
        (
            format!("GRANT SELECT (handler_key) ON pgqueuer_host TO {role}"),
            format!("REVOKE SELECT (handler_key) ON pgqueuer_host FROM {role}"),
            "SELECT on pgqueuer_host",
        ),
        (
            format!("GRANT CREATE ON SCHEMA public TO {role}"),
            format!("REVOKE CREATE ON SCHEMA public FROM {role}"),
            "create objects in the schema public",
        ),
        (
            format!("DO $$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO {role}', current_database()); END $$"),
            format!(
                "DO $$ BEGIN EXECUTE format('REVOKE CREATE ON DATABASE %I FROM {role}', current_database()); END $$"
            ),
            "create schemas in the database",
        ),
        (
            format!("GRANT pg_read_all_data TO {role}"),
            format!("REVOKE pg_read_all_data FROM {role}"),
            "pg_read_all_data",
        ),
        (
            format!("REVOKE {role} FROM {me}; GRANT {me} TO {role}"),
            format!("REVOKE {me} FROM {role}; GRANT {role} TO {me}"),
            "may become",
        ),
        (
            format!("GRANT EXECUTE ON FUNCTION {back} TO PUBLIC"),
            format!("REVOKE EXECUTE ON FUNCTION {back} FROM PUBLIC"),
            "everybody may execute",
        ),
        (
            format!("REVOKE EXECUTE ON FUNCTION {back} FROM {role}"),
            format!("GRANT EXECUTE ON FUNCTION {back} TO {role}"),
            "may not execute",
        ),
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(give)).execute(world.database.pool()).await.unwrap();
        world
            .database
            .execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{role}'"))
            .await;
        let fault = world.fail("once", json!([add(1)])).await;
        assert!(fault["exception_message"].as_str().unwrap().contains(wanted), "{wanted}: {fault}");
        sqlx::raw_sql(sqlx::AssertSqlSafe(take)).execute(world.database.pool()).await.unwrap();
    }
    world.run(json!([add(1)])).await;
    host.stop().await;
    // Without a grant there is nothing, and the line that would grant it is named.
    std::fs::write(world.plugins.config(), "[plugins.sql]\nenqueue = [\"follow\"]\n").unwrap();
    let host = Host::start(&world.database, &world.plugins, &[]).await;
    let fault = world.fail("once", json!([add(1)])).await;
    assert!(fault["exception_message"].as_str().unwrap().contains("sql = { role ="), "{fault}");
    assert_eq!(world.balance(1).await, 1001);
    let log = host.stop().await;
    assert!(log.contains("it needs sql"), "{log}");
}

/// Built before there was `sql`, and never again: `tests/fixtures/plugins/README.md`.
#[tokio::test]
async fn a_plugin_that_was_built_before_runs_as_it_did() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/plugins/good-before-sql.wasm");
    plugins.write("good.wasm", std::fs::read(golden).unwrap());
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("work", "").await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn the_example_imports_a_list_and_orders_what_ran_out_once() {
    let world = World::new().await;
    world.plugins.put("stock");
    world
        .database
        .execute("CREATE TABLE stock (sku text PRIMARY KEY, quantity int NOT NULL CHECK (quantity >= 0))")
        .await;
    world.database.execute(&format!("GRANT SELECT, INSERT, UPDATE ON stock TO {}", world.role)).await;
    world.configure(&format!(
        "[plugins.stock]\nenqueue = [\"reorder\"]\n[plugins.stock.sql]\nrole = \"{}\"\npassword = {{ file = {:?} }}",
        world.role,
        world.password.to_str().unwrap()
    ));
    let host = Host::start(&world.database, &world.plugins, &[]).await;
    let mut items: Vec<Value> = (0..1_200).map(|n| json!({"sku": format!("item {n}"), "quantity": n % 600})).collect();
    items.push(json!({"sku": "bad", "quantity": -1}));
    for (changed, refused) in [(1_200, 1), (0, 1)] {
        let id = world.enqueue("import_stock", json!(items)).await;
        world.database.wait_for(id, "successful").await;
        let report: Value = serde_json::from_str(&world.database.output(id).await.unwrap()).unwrap();
        assert_eq!(report, json!({"changed": changed, "sold_out": changed / 600, "refused": refused}));
        world.database.wait_until_done().await;
    }
    assert_eq!(world.database.count("SELECT count(*) FROM stock").await, 1_200);
    let orders = "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'reorder' AND status = 'successful'";
    assert_eq!(world.database.count(orders).await, 2);
    host.stop().await;
}
