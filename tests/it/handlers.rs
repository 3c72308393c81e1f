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
        let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
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
        let id = self.enqueue("once", steps).await;
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
            .count(&format!("SELECT count(*) FROM pg_stat_activity WHERE usename = '{}' AND state <> 'idle'", self.role))
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
    let output = world.run(json!([add(5), {"follow": ["follow", null]}, {"query": ["SELECT balance FROM account WHERE id = 1"]}])).await;
    assert_eq!(output, [json!(1), json!([["One(Int64(1005))"]])]);
    assert_eq!(world.balance(1).await, 1005);
    world.database.wait_until_done().await;
    assert_eq!(world.database.count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'follow' AND status = 'successful'").await, 1);
    // One transaction wrote the row, and ended the job.
    let id = world.enqueue("once", json!([add(1)])).await;
    world.done(id).await;
    let same = format!(
        "SELECT count(*) FROM account a, pgqueuer_log l WHERE a.id = 1 AND l.job_id = {id} AND l.status = 'successful' AND a.xmin = l.xmin"
    );
    assert_eq!(world.database.count(&same).await, 1);

    let snoozed = world.enqueue("once", json!([add(10), {"end": "snooze"}])).await;
    eventually("it is snoozed", async || world.balance(1).await == 1016).await;
    assert_eq!(world.database.count(&format!("SELECT attempts::bigint FROM pgqueuer WHERE id = {snoozed} AND status = 'queued'")).await, 0);
    let discarded = world.enqueue("once", json!([add(100), {"follow": ["follow", null]}, {"end": "discard"}])).await;
    world.database.wait_for(discarded, "canceled").await;
    assert_eq!(world.balance(1).await, 1116);
    assert_eq!(world.database.count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'follow' AND status = 'queued'").await, 1);
    for (end, kind) in [("retry", "Retry"), ("reject", "Reject"), ("trap", "Trap"), ("loop", "DeadlineExceeded")] {
        let entrypoint = if end == "loop" { "brief" } else { "once" };
        let traceback = world.fail(entrypoint, json!([add(1000), {"follow": ["follow", null]}, {"end": end}])).await;
        assert_eq!(traceback["exception_type"], kind);
        assert_eq!(world.balance(1).await, 1116, "{end}");
    }
    let claims = world.database.count(&format!("SELECT count(*) FROM pgqueuer_log WHERE job_id = {id} AND status = 'picked'")).await;
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
    world.database.execute(&format!("UPDATE pgqueuer SET queue_manager_id = gen_random_uuid() WHERE id = {cancelled}")).await;
    eventually("its session is gone", async || world.sessions_at_work().await == 0).await;
    world.database.execute(&format!("DELETE FROM pgqueuer WHERE id = {cancelled}")).await;
    assert_eq!(world.balance(1).await, 1000);

    // The row is taken away in the last moment: the run's own commit finds that out.
    let late = world
        .enqueue("steps", json!([add(7), {"query": [format!("SELECT pg_sleep(0.2)::text")]}, {"execute": ["SELECT 1"]}]))
        .await;
    eventually("it runs", at_work).await;
    world.database.execute(&format!("UPDATE pgqueuer SET updated = now() WHERE id = {late}")).await;
    eventually("its session is done", async || world.sessions_at_work().await == 0).await;
    assert_eq!(world.balance(1).await, 1000);
    world.database.execute(&format!("DELETE FROM pgqueuer WHERE id = {late}")).await;

    // The backend dies: the run fails, and runs again.
    let cut = world.enqueue("steps", json!([add(7), {"query": ["SELECT pg_sleep(0.3)::text"]}])).await;
    eventually("it runs", at_work).await;
    world.database.execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", world.role)).await;
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
            world.database.execute(&format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{}'", world.role)).await;
        }
    }
    world.database.wait_until_done().await;
    assert_eq!(world.database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await, 0);
    assert_eq!(world.database.count("SELECT sum(balance)::bigint FROM account").await, 20_000);
    assert_eq!(world.database.count("SELECT count(*) FROM move").await, JOBS);
    let exact = "SELECT count(*) FROM account a WHERE balance <> 1000 + coalesce((SELECT sum(CASE WHEN t = a.id THEN amount ELSE 0 END - CASE WHEN f = a.id THEN amount ELSE 0 END) FROM (SELECT m.amount, ((n * 7 + 3) % 20) + 1 AS t, (n % 20) + 1 AS f FROM (SELECT amount, row_number() OVER (ORDER BY job) - 1 AS n FROM move) m) x), 0)";
    assert_eq!(world.database.count(exact).await, 0, "each move is in both balances, once");
    assert_eq!(world.database.count(&format!("SELECT count(*) FROM pgqueuer_output")).await, JOBS);
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
    assert_eq!([&error["kind"], &error["sqlstate"], &error["constraint"], &error["table"]], ["Database", "23505", "account_pkey", "account"]);
    // Outside of a savepoint it costs the run.
    let fault = world.fail("once", json!([add(1), {"repeat": [1, "SELECT 1/0"]}])).await;
    assert_eq!(fault["exception_type"], "CommitRefused");
    assert!(fault["exception_message"].as_str().unwrap().contains("division by zero"), "{fault}");
    let fault = world.fail("once", json!([{"query": ["SELECT * FROM private"]}])).await;
    assert!(fault["exception_message"].as_str().unwrap().contains("42501"), "{fault}");
    assert_eq!(world.balance(1).await, 1103);
    host.stop().await;
}
