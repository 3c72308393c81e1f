//! The schema against a real server and the real PgQueuer: installed, compared, adopted, upgraded
//! and removed by either tool.

use pgq_host_tests::{Database, everything, pgq};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::schema::{
    self, Durability, Expect, InstallOptions, Problem, SchemaError, UpgradeOptions, check_worker, plan_upgrade,
    upgrade, verify,
};
use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, PgConnection};

const WIDEN: UpgradeOptions = UpgradeOptions { widen_id: true };
const RELEASES: [(&str, &str); 4] = [
    ("0.18.10", include_str!("../fixtures/pgqueuer-schemas/v0.18.10.sql")),
    ("1.0.2", include_str!("../fixtures/pgqueuer-schemas/v1.0.2.sql")),
    ("1.1.1", include_str!("../fixtures/pgqueuer-schemas/v1.1.1.sql")),
    ("1.4.0", include_str!("../fixtures/pgqueuer-schemas/v1.4.0.sql")),
];

fn names(prefix: &str, schema: &str) -> Names {
    let settings = NameSettings { prefix: Some(prefix.into()), schema: Some(schema.into()) };
    Names::new(&settings, |_| None).expect("valid names")
}

fn default_names() -> Names {
    names("", "")
}

async fn run(conn: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}

async fn install(conn: &mut PgConnection, names: &Names) {
    schema::install(conn, names, &InstallOptions::default()).await.expect("installs");
}

async fn findings(conn: &mut PgConnection, names: &Names, expect: Expect) -> Vec<String> {
    verify(conn, names, expect).await.expect("verifies").iter().map(ToString::to_string).collect()
}

/// The real PgQueuer's command line.
struct Pgq<'a> {
    dsn: String,
    prefix: &'a str,
    schema: &'a str,
}

impl<'a> Pgq<'a> {
    fn new(db: &Database) -> Pgq<'a> {
        Pgq { dsn: db.dsn(), prefix: "", schema: "" }
    }

    /// Run it. Returns whether it succeeded, and its output on both streams.
    async fn run(&self, args: &[&str]) -> (bool, String) {
        let mut command = pgq(&self.dsn);
        command.args(args);
        if !self.prefix.is_empty() {
            command.env("PGQUEUER_PREFIX", self.prefix);
        }
        if !self.schema.is_empty() {
            command.env("PGQUEUER_SCHEMA", self.schema);
        }
        let output = command.output().await.expect("pgq runs");
        let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.success(), said)
    }

    async fn cli_ok(&self, args: &[&str]) -> String {
        let (success, said) = self.run(args).await;
        assert!(success, "pgq {args:?}: {said}");
        said
    }

    /// PgQueuer finds nothing to do and nothing missing.
    async fn is_content(&self) {
        let said = self.cli_ok(&["upgrade", "--plan"]).await;
        assert!(said.contains("already up to date") && !said.contains("note:"), "{said}");
        self.cli_ok(&["verify", "--expect", "present"]).await;
    }
}

fn is_ours(line: &str) -> bool {
    [
        "_output",
        "_requeued",
        "_plugin",
        "_attempt",
        "_tally",
        "_host",
        "_suspect",
        "_verdict",
        "_retention",
        "_lines",
        "_pause",
        "_audit",
        "_held",
        "_failures",
        "_adjustment",
        "_cause",
    ]
    .iter()
    .any(|name| line.contains(name))
}

/// The same without pgq-host's additions.
async fn pgqueuers(conn: &mut PgConnection, namespace: &str) -> Vec<String> {
    everything(conn, namespace).await.into_iter().filter(|line| !is_ours(line)).collect()
}

/// Like `assert_eq`, but shows only the lines in which the two catalogs differ.
#[track_caller]
fn assert_same(left: &[String], right: &[String], context: &str) {
    let only = |these: &[String], those: &[String]| {
        these.iter().filter(|line| !those.contains(line)).cloned().collect::<Vec<_>>()
    };
    assert!(left == right, "{context}\nonly left: {:#?}\nonly right: {:#?}", only(left, right), only(right, left));
}

/// A database that the real PgQueuer installed with default names, described by its catalog.
async fn reference() -> Vec<String> {
    let db = Database::empty().await;
    Pgq::new(&db).cli_ok(&["install"]).await;
    everything(&mut db.connect().await, "public").await
}

#[tokio::test]
async fn install_makes_what_pgqueuer_makes() {
    for (prefix, schema, namespace) in
        [("", "", "public"), ("app_", "", "public"), ("", "jobs", "jobs"), ("app_", "jobs", "jobs")]
    {
        for durability in [Durability::Durable, Durability::Balanced, Durability::Volatile] {
            let (theirs, ours) = (Database::empty().await, Database::empty().await);
            let pgq = Pgq { dsn: theirs.dsn(), prefix, schema };
            pgq.cli_ok(&["install", "--durability", &durability.to_string()]).await;

            let (mut conn, names) = (ours.connect().await, names(prefix, schema));
            let options = InstallOptions { durability, create_schema: true };
            schema::install(&mut conn, &names, &options).await.expect("installs");

            let expected = everything(&mut theirs.connect().await, namespace).await;
            assert_same(&pgqueuers(&mut conn, namespace).await, &expected, &format!("{names} {durability}"));
            assert_eq!(findings(&mut conn, &names, Expect::Present).await, [""; 0]);
            if durability == Durability::Durable {
                Pgq { dsn: ours.dsn(), prefix, schema }.is_content().await;
            }
        }
    }
}

#[tokio::test]
async fn every_declaration_is_in_the_catalogs_spelling() {
    // Also with names that fold to lower case, and with a search path that changes how the catalog
    // qualifies names.
    for (prefix, schema) in [("", ""), ("My_", ""), ("", "Jobs"), ("x", "public")] {
        let (db, names) = (Database::empty().await, names(prefix, schema));
        let mut conn = db.connect().await;
        install(&mut conn, &names).await;
        for path in ["public", "jobs, public", "public, jobs", "pg_catalog"] {
            if schema.is_empty() && path != "public" {
                continue;
            }
            run(&mut conn, &format!("SET search_path = {path}")).await;
            assert_eq!(findings(&mut conn, &names, Expect::Present).await, [""; 0], "{names} with {path}");
            assert_eq!(plan_upgrade(&mut conn, &names, &WIDEN).await.expect("a plan"), [""; 0]);
        }
        check_worker(&mut conn, &names).await.expect("a worker may start");
    }
}

#[tokio::test]
async fn an_upgraded_release_is_like_a_fresh_install() {
    let fresh = reference().await;
    for (release, sql) in RELEASES {
        let (db, names) = (Database::empty().await, default_names());
        let mut conn = db.connect().await;
        run(&mut conn, sql).await;

        let planned = plan_upgrade(&mut conn, &names, &WIDEN).await.expect("a plan");
        assert_eq!(upgrade(&mut conn, &names, &WIDEN).await.expect("upgrades"), planned, "{release}");

        assert_eq!(upgrade(&mut conn, &names, &WIDEN).await.expect("again"), [""; 0], "{release}");
        assert_eq!(findings(&mut conn, &names, Expect::Present).await, [""; 0], "{release}");
        check_worker(&mut conn, &names).await.expect("a worker may start");
        let mut now = pgqueuers(&mut conn, "public").await;
        // A column that holds data is not dropped, only relaxed.
        now.retain(|line| !line.starts_with("column pgqueuer_statistics.time_in_queue interval null=t"));
        assert_same(&now, &fresh, release);

        let said = Pgq::new(&db).cli_ok(&["upgrade", "--plan"]).await;
        assert!(said.contains("already up to date"), "{release}: {said}");
        Pgq::new(&db).cli_ok(&["verify", "--expect", "present"]).await;
    }
}

#[tokio::test]
async fn a_release_that_pgqueuer_upgraded_lacks_only_our_additions() {
    for (release, sql) in RELEASES {
        let (db, names) = (Database::empty().await, default_names());
        let mut conn = db.connect().await;
        run(&mut conn, sql).await;
        Pgq::new(&db).cli_ok(&["upgrade"]).await;
        for finding in verify(&mut conn, &names, Expect::Present).await.expect("verifies") {
            assert!(finding.problem == Problem::Missing && is_ours(&finding.object), "{release}: {finding}");
        }
    }
}

#[tokio::test]
async fn a_database_of_pgqueuers_is_adopted() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    Pgq::new(&db).cli_ok(&["install"]).await;
    let before = everything(&mut conn, "public").await;

    let error = schema::install(&mut conn, &names, &InstallOptions::default()).await.expect_err("refuses").to_string();
    assert!(error.contains("table pgqueuer_log") && error.contains("pgq-host upgrade"), "{error}");
    let error = check_worker(&mut conn, &names).await.expect_err("not yet").to_string();
    assert!(error.contains("table pgqueuer_output, trigger tg_pgqueuer_requeued; run `pgq-host upgrade`"), "{error}");

    let done = upgrade(&mut conn, &names, &WIDEN).await.expect("upgrades");
    assert_eq!(done.len(), 23, "{done:#?}");
    check_worker(&mut conn, &names).await.expect("a worker may start");
    assert_same(&pgqueuers(&mut conn, "public").await, &before, "");
    Pgq::new(&db).is_content().await;
}

#[tokio::test]
async fn pgqueuers_verbs_work_with_our_objects_present_and_leave_them_alone() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    install(&mut conn, &names).await;
    let before = everything(&mut conn, "public").await;
    let pgq = Pgq::new(&db);

    let said = pgq.cli_ok(&["upgrade"]).await;
    assert!(said.contains("already up to date"), "{said}");
    assert_same(&everything(&mut conn, "public").await, &before, "");
    let (installed, said) = pgq.run(&["install"]).await;
    assert!(!installed && said.contains("already installed"), "{said}");

    run(&mut conn, "INSERT INTO pgqueuer_output (job_id, entrypoint, output) VALUES (1, 'ep', 'x')").await;
    pgq.cli_ok(&["uninstall"]).await;
    pgq.cli_ok(&["verify", "--expect", "absent"]).await;
    assert_eq!(
        findings(&mut conn, &names, Expect::Absent).await,
        [
            "unexpected table pgqueuer_output",
            "unexpected index pgqueuer_output_created",
            "unexpected function fn_pgqueuer_requeued",
            "unexpected table pgqueuer_plugin",
            "unexpected table pgqueuer_attempt",
            "unexpected index pgqueuer_attempt_created_job_id",
            "unexpected table pgqueuer_tally",
            "unexpected table pgqueuer_host",
            "unexpected table pgqueuer_suspect",
            "unexpected table pgqueuer_verdict",
            "unexpected table pgqueuer_retention",
            "unexpected table pgqueuer_lines",
            "unexpected index pgqueuer_lines_job_id",
            "unexpected index pgqueuer_lines_until",
            "unexpected table pgqueuer_pause",
            "unexpected table pgqueuer_audit",
            "unexpected table pgqueuer_adjustment",
            "unexpected table pgqueuer_cause",
            "unexpected index pgqueuer_cause_last_seen"
        ]
    );

    // The new queue numbers its jobs from 1 again, so the old output must not pass for the new
    // job's.
    install(&mut conn, &names).await;
    assert_same(&everything(&mut conn, "public").await, &before, "");
    let outputs: i64 =
        sqlx::query_scalar("SELECT count(*) FROM pgqueuer_output").fetch_one(&mut conn).await.expect("a count");
    assert_eq!(outputs, 0);
}

#[tokio::test]
async fn uninstall_removes_all_and_can_be_repeated() {
    for (schema, namespace) in [("", "public"), ("jobs", "jobs")] {
        let (db, names) = (Database::empty().await, names("", schema));
        let mut conn = db.connect().await;
        schema::uninstall(&mut conn, &names).await.expect("nothing to do, not even a schema");
        install(&mut conn, &names).await;
        schema::uninstall(&mut conn, &names).await.expect("uninstalls");
        schema::uninstall(&mut conn, &names).await.expect("again");
        if !schema.is_empty() {
            run(&mut conn, "CREATE SCHEMA IF NOT EXISTS jobs").await;
        }
        assert_eq!(everything(&mut conn, namespace).await, [""; 0]);
        assert_eq!(findings(&mut conn, &names, Expect::Absent).await, [""; 0]);
        Pgq { dsn: db.dsn(), prefix: "", schema }.cli_ok(&["verify", "--expect", "absent"]).await;
        Pgq { dsn: db.dsn(), prefix: "", schema }.cli_ok(&["install"]).await;
    }
}

#[tokio::test]
async fn uninstall_is_all_or_nothing() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    install(&mut conn, &names).await;
    run(&mut conn, "CREATE VIEW mine AS SELECT id FROM pgqueuer_statistics").await;
    let before = everything(&mut conn, "public").await;
    let error = schema::uninstall(&mut conn, &names).await.expect_err("a view depends on it").to_string();
    assert!(error.contains("pgqueuer_statistics") && error.contains("drop that first"), "{error}");
    assert_same(&everything(&mut conn, "public").await, &before, "");
}

#[tokio::test]
async fn install_is_all_or_nothing_and_refuses_a_part() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    run(&mut conn, "CREATE VIEW pgqueuer_statistics AS SELECT 1 AS id").await;
    let before = everything(&mut conn, "public").await;
    let error = schema::install(&mut conn, &names, &InstallOptions::default()).await.expect_err("the name is taken");
    assert!(matches!(error, SchemaError::Refused { .. }), "{error}");
    assert_same(&everything(&mut conn, "public").await, &before, "");

    run(&mut conn, "DROP VIEW pgqueuer_statistics; CREATE TYPE pgqueuer_status AS ENUM ('queued')").await;
    let error = schema::install(&mut conn, &names, &InstallOptions::default()).await.expect_err("a part is there");
    assert!(
        matches!(&error, SchemaError::AlreadyInstalled { found, .. } if found == "enum pgqueuer_status"),
        "{error}"
    );
    upgrade(&mut conn, &names, &WIDEN).await.expect("completes a part");
    assert_same(&pgqueuers(&mut conn, "public").await, &reference().await, "");
}

#[tokio::test]
async fn a_schema_is_made_only_when_allowed() {
    let (db, names) = (Database::empty().await, names("", "jobs"));
    let mut conn = db.connect().await;
    let options = InstallOptions { create_schema: false, ..InstallOptions::default() };
    let error = schema::install(&mut conn, &names, &options).await.expect_err("no schema").to_string();
    assert!(error.contains("\"jobs\"") && error.contains("--create-schema"), "{error}");
    assert!(!schema::sql_install(&names, &options).contains("CREATE SCHEMA"));
    let error = check_worker(&mut conn, &names).await.expect_err("nothing there").to_string();
    assert!(error.contains("schema jobs") && error.ends_with("run `pgq-host install`"), "{error}");
    upgrade(&mut conn, &names, &WIDEN).await.expect("makes the schema and all in it");
    assert_eq!(findings(&mut conn, &names, Expect::Present).await, [""; 0]);
}

#[tokio::test]
async fn the_scripts_do_what_the_verbs_do() {
    for (prefix, schema, namespace) in [("", "", "public"), ("app_", "jobs", "jobs")] {
        let (by_verb, by_script, names) = (Database::empty().await, Database::empty().await, names(prefix, schema));
        let (mut verb, mut script) = (by_verb.connect().await, by_script.connect().await);
        install(&mut verb, &names).await;
        let options = InstallOptions::default();
        assert_eq!(schema::sql_install(&names, &options), schema::sql_install(&names, &options));
        run(&mut script, &schema::sql_install(&names, &options)).await;
        assert_same(&everything(&mut script, namespace).await, &everything(&mut verb, namespace).await, namespace);
        run(&mut script, &schema::sql_uninstall(&names)).await;
        assert_eq!(everything(&mut script, namespace).await, [""; 0]);
    }
}

#[tokio::test]
async fn a_job_that_is_queued_again_wakes_everybody_once_per_transaction() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    install(&mut conn, &names).await;
    run(
        &mut conn,
        "INSERT INTO pgqueuer (priority, status, entrypoint) \
         SELECT 0, s::pgqueuer_status, 'ep' FROM generate_series(1, 50), unnest(ARRAY['picked', 'failed', 'queued']) AS s",
    )
    .await;
    let mut listener = PgListener::connect(&db.dsn()).await.expect("a listener");
    listener.listen(&names.channel).await.expect("listens");

    for (statement, expected) in [
        ("UPDATE pgqueuer SET priority = 1", 0),
        ("UPDATE pgqueuer SET status = 'queued', attempts = 1 WHERE status = 'queued'", 0),
        ("UPDATE pgqueuer SET status = 'queued' WHERE status IN ('picked', 'failed')", 1),
        ("UPDATE pgqueuer SET status = 'picked'", 0),
        (
            "BEGIN; UPDATE pgqueuer SET status = 'queued' WHERE id < 20; UPDATE pgqueuer SET status = 'queued' WHERE id > 20; COMMIT",
            1,
        ),
    ] {
        run(&mut conn, statement).await;
        run(&mut conn, "NOTIFY ch_pgqueuer, 'end'").await;
        let mut heard = Vec::new();
        loop {
            let event = listener.recv().await.expect("an event");
            if event.payload() == "end" {
                break;
            }
            heard.push(event.payload().to_owned());
        }
        assert_eq!(heard.len(), expected, "{statement}: {heard:?}");
        for payload in heard {
            let mut event: serde_json::Value = serde_json::from_str(&payload).expect("JSON");
            let sent_at = event.as_object_mut().and_then(|event| event.remove("sent_at")).expect("a time");
            assert!(sent_at.as_str().is_some_and(|at| at.contains('T') && at.contains("+00:00")), "{sent_at}");
            assert_eq!(
                event,
                serde_json::json!({
                    "channel": "ch_pgqueuer", "operation": "update", "table": "pgqueuer", "type": "table_changed_event",
                })
            );
        }
    }
}

#[tokio::test]
async fn damage_is_reported_and_repaired_and_nothing_else_is_touched() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    install(&mut conn, &names).await;
    let whole = everything(&mut conn, "public").await;
    run(
        &mut conn,
        "DROP INDEX pgqueuer_log_status; \
         DROP INDEX pgqueuer_ep_ea_idx; CREATE INDEX pgqueuer_ep_ea_idx ON pgqueuer (entrypoint); \
         CREATE INDEX pgqueuer_heartbeat_id_id1_idx ON pgqueuer (heartbeat, id); \
         CREATE TYPE pgqueuer_statistics_status AS ENUM ('exception'); \
         ALTER TABLE pgqueuer DISABLE TRIGGER tg_pgqueuer_changed; \
         DROP TRIGGER tg_pgqueuer_requeued ON pgqueuer; \
         CREATE OR REPLACE FUNCTION fn_pgqueuer_changed() RETURNS TRIGGER AS $$BEGIN RETURN NULL; END$$ LANGUAGE plpgsql; \
         ALTER TABLE pgqueuer ALTER attempts DROP NOT NULL, ALTER updated DROP DEFAULT, ALTER payload SET DEFAULT 'x', DROP COLUMN slot; \
         ALTER TABLE pgqueuer_schedules DROP CONSTRAINT pgqueuer_schedules_expression_entrypoint_key; \
         ALTER TABLE pgqueuer_output ALTER created DROP DEFAULT",
    )
    .await;
    let error = check_worker(&mut conn, &names).await.expect_err("not like this").to_string();
    let missing = "column pgqueuer.slot, index pgqueuer_picked_slot_idx, trigger tg_pgqueuer_changed, trigger tg_pgqueuer_requeued";
    assert!(error.contains(missing), "{error}");
    let found = findings(&mut conn, &names, Expect::Present).await;
    for expected in [
        "missing index pgqueuer_log_status",
        "different index pgqueuer_ep_ea_idx: it is USING btree (entrypoint), declared",
        "unexpected index pgqueuer_heartbeat_id_id1_idx",
        "unexpected type pgqueuer_statistics_status",
        "different trigger tg_pgqueuer_changed: it is disabled",
        "missing trigger tg_pgqueuer_requeued",
        "different function fn_pgqueuer_changed",
        "different column pgqueuer.attempts: it takes nulls",
        "different column pgqueuer.updated: its default is none, declared now()",
        "different column pgqueuer.payload: its default is",
        "missing column pgqueuer.slot",
        "missing index pgqueuer_picked_slot_idx",
        "missing constraint UNIQUE (expression, entrypoint) of table pgqueuer_schedules",
        "different column pgqueuer_output.created",
    ] {
        assert_eq!(found.iter().filter(|line| line.starts_with(expected)).count(), 1, "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), 14, "{found:#?}");

    let foreign = "CREATE TABLE pgqueuer_mine (s pgqueuer_status); CREATE INDEX mine ON pgqueuer (created, priority); \
                   ALTER TABLE pgqueuer ADD COLUMN note text; CREATE INDEX pgqueuer_statistics_created ON pgqueuer_log (created, id); \
                   CREATE TRIGGER a_mine AFTER UPDATE ON pgqueuer EXECUTE FUNCTION fn_pgqueuer_requeued()";
    // Here the index of that name belongs to another table, so it is not a sign of a newer
    // PgQueuer.
    run(&mut conn, foreign).await;
    upgrade(&mut conn, &names, &WIDEN).await.expect("repairs");
    assert_eq!(findings(&mut conn, &names, Expect::Present).await, [""; 0]);
    let left = everything(&mut conn, "public").await;
    for mine in [
        "relation pgqueuer_mine ",
        "index CREATE INDEX mine ",
        "column pgqueuer.note ",
        "trigger CREATE TRIGGER a_mine ",
    ] {
        assert!(left.iter().any(|line| line.starts_with(mine)), "{mine}: {left:#?}");
    }
    run(
        &mut conn,
        "DROP TABLE pgqueuer_mine; DROP INDEX mine; ALTER TABLE pgqueuer DROP COLUMN note; DROP TRIGGER a_mine ON pgqueuer; \
         DROP INDEX pgqueuer_statistics_created",
    )
    .await;
    assert_same(&everything(&mut conn, "public").await, &whole, "");
}

#[tokio::test]
async fn a_newer_pgqueuers_schema_is_left_as_it_is() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    Pgq::new(&db).cli_ok(&["install"]).await;
    run(
        &mut conn,
        "CREATE INDEX pgqueuer_statistics_created ON pgqueuer_statistics (created); \
         CREATE OR REPLACE FUNCTION fn_pgqueuer_changed() RETURNS TRIGGER AS $$BEGIN RETURN NULL; END$$ LANGUAGE plpgsql",
    )
    .await;
    let before = everything(&mut conn, "public").await;
    upgrade(&mut conn, &names, &WIDEN).await.expect("adds ours");
    assert_same(&pgqueuers(&mut conn, "public").await, &before, "");
    assert_eq!(findings(&mut conn, &names, Expect::Present).await, [""; 0]);
}

#[tokio::test]
async fn an_unexpected_type_stops_the_upgrade_before_it_starts() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    run(&mut conn, RELEASES[1].1).await;
    run(&mut conn, "ALTER TABLE pgqueuer_statistics ALTER priority TYPE text").await;
    let before = everything(&mut conn, "public").await;
    let error = upgrade(&mut conn, &names, &WIDEN).await.expect_err("cannot").to_string();
    assert!(error.contains("pgqueuer_statistics.priority is text, but PgQueuer declares integer"), "{error}");
    assert_same(&everything(&mut conn, "public").await, &before, "");
    // The lock has been released.
    let mut other = db.connect().await;
    let free: bool =
        sqlx::query_scalar("SELECT pg_try_advisory_lock(2389487409)").fetch_one(&mut other).await.expect("a try");
    assert!(free);
}

#[tokio::test]
async fn ids_stay_narrow_when_the_operator_says_so() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    run(&mut conn, RELEASES[1].1).await;
    let narrow = UpgradeOptions { widen_id: false };
    upgrade(&mut conn, &names, &narrow).await.expect("upgrades");
    assert_eq!(plan_upgrade(&mut conn, &names, &narrow).await.expect("a plan"), [""; 0]);
    check_worker(&mut conn, &names).await.expect("a worker may start");
    let found = findings(&mut conn, &names, Expect::Present).await;
    assert!(found.contains(&"different column pgqueuer.id: it is integer, declared bigint".to_owned()), "{found:#?}");
    assert_eq!(found.len(), 6, "{found:#?}");
    assert_eq!(upgrade(&mut conn, &names, &WIDEN).await.expect("widens").len(), 6);
    Pgq::new(&db).is_content().await;
}

#[tokio::test]
async fn statistics_of_before_0_19_are_folded() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    run(&mut conn, RELEASES[0].1).await;
    run(
        &mut conn,
        "INSERT INTO pgqueuer_statistics (created, count, priority, time_in_queue, status, entrypoint) \
         SELECT '2024-01-01 00:00:00.1+00'::timestamptz, n, 0, make_interval(secs => n), \
                'successful'::pgqueuer_statistics_status, 'split' FROM unnest(ARRAY[1, 2, 4]) AS n \
         UNION ALL SELECT '2024-01-01 00:00:01+00', 5, 0, '1 s', 'successful', 'alone'",
    )
    .await;
    upgrade(&mut conn, &names, &WIDEN).await.expect("upgrades");
    let rows: Vec<(i64, String, i64)> =
        sqlx::query_as("SELECT id, entrypoint, count FROM pgqueuer_statistics ORDER BY id")
            .fetch_all(&mut conn)
            .await
            .expect("rows");
    assert_eq!(rows, [(1, "split".to_owned(), 7), (4, "alone".to_owned(), 5)]);
}

#[tokio::test]
async fn a_rebuild_that_fails_or_is_cut_off_leaves_an_index() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    install(&mut conn, &names).await;
    run(
        &mut conn,
        "DROP INDEX pgqueuer_picked_slot_idx; CREATE INDEX pgqueuer_picked_slot_idx ON pgqueuer (entrypoint, slot); \
         INSERT INTO pgqueuer (priority, status, entrypoint, slot) VALUES (0, 'picked', 'ep', 1), (0, 'picked', 'ep', 1)",
    )
    .await;
    let before = everything(&mut conn, "public").await;
    let error = upgrade(&mut conn, &names, &WIDEN).await.expect_err("two jobs on one slot").to_string();
    assert!(error.contains("CREATE UNIQUE INDEX") && error.contains("remove the duplicates"), "{error}");
    assert_same(&everything(&mut conn, "public").await, &before, "");

    // Interrupted between its statements: run all of the plan by hand except for the swap, then let
    // either tool continue.
    run(&mut conn, "DELETE FROM pgqueuer").await;
    let plan = plan_upgrade(&mut conn, &names, &WIDEN).await.expect("a plan");
    assert_eq!(plan.len(), 3, "{plan:#?}");
    run(&mut conn, &plan[..2].join(" ")).await;
    run(&mut conn, "DROP INDEX pgqueuer_picked_slot_idx").await;
    let said = Pgq::new(&db).cli_ok(&["upgrade", "--plan"]).await;
    assert!(said.contains("RENAME TO pgqueuer_picked_slot_idx"), "PgQueuer knows the leftover: {said}");
    let done = upgrade(&mut conn, &names, &WIDEN).await.expect("goes on");
    assert!(done.len() == 1 && done[0].contains("RENAME TO pgqueuer_picked_slot_idx"), "{done:?}");
    Pgq::new(&db).is_content().await;
}

/// Wait until a session waits for a lock of this type, and return the number of such waits.
async fn someone_waits(conn: &mut PgConnection, locktype: &str) {
    loop {
        let waits: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_locks WHERE locktype = $1 AND NOT granted \
             AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .bind(locktype)
        .fetch_one(&mut *conn)
        .await
        .expect("the locks");
        if waits > 0 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn an_upgrade_waits_for_another_tools_upgrade() {
    let (db, names) = (Database::empty().await, default_names());
    let (mut holder, mut conn) = (db.connect().await, db.connect().await);
    run(&mut conn, RELEASES[0].1).await;
    // The key that PgQueuer's own `upgrade` uses for a queue named pgqueuer.
    run(&mut holder, "SELECT pg_advisory_lock(2389487409)").await;
    let ours = tokio::spawn(async move { upgrade(&mut conn, &names, &WIDEN).await });
    someone_waits(&mut holder, "advisory").await;
    run(&mut holder, "SELECT pg_advisory_unlock(2389487409)").await;
    ours.await.expect("no panic").expect("upgrades");

    let (db, names) = (Database::empty().await, default_names());
    let (mut one, mut two) = (db.connect().await, db.connect().await);
    run(&mut one, RELEASES[0].1).await;
    let (first, second) = tokio::join!(upgrade(&mut one, &names, &WIDEN), upgrade(&mut two, &names, &WIDEN));
    let (first, second) = (first.expect("one").len(), second.expect("other").len());
    assert!(first.min(second) == 0 && first.max(second) > 0, "{first} and {second}");
}

#[tokio::test]
async fn an_upgrade_does_not_block_the_queue_behind_a_long_transaction() {
    let (db, names) = (Database::empty().await, default_names());
    let (mut reader, mut producer, mut conn) = (db.connect().await, db.connect().await, db.connect().await);
    run(&mut conn, RELEASES[3].1).await;
    run(&mut reader, "BEGIN; SELECT count(*) FROM pgqueuer").await;
    run(&mut reader, "INSERT INTO pgqueuer (priority, status, entrypoint) VALUES (0, 'queued', 'ep')").await;
    let ours = tokio::spawn(async move { upgrade(&mut conn, &names, &WIDEN).await });
    someone_waits(&mut producer, "relation").await;
    // Queues behind the upgrade's lock, and succeeds although the reader never releases the table.
    run(&mut producer, "INSERT INTO pgqueuer (priority, status, entrypoint) VALUES (0, 'queued', 'ep')").await;
    run(&mut reader, "COMMIT").await;
    ours.await.expect("no panic").expect("upgrades");
}

#[tokio::test]
async fn durability_is_switched_as_pgqueuer_switches_it() {
    let (db, names) = (Database::empty().await, default_names());
    let mut conn = db.connect().await;
    Pgq::new(&db).cli_ok(&["install"]).await;
    for level in [Durability::Volatile, Durability::Balanced, Durability::Durable] {
        let theirs = Database::empty().await;
        Pgq::new(&theirs).cli_ok(&["install", "--durability", &level.to_string()]).await;
        schema::set_durability(&mut conn, &names, level).await.expect("switches");
        let expected = everything(&mut theirs.connect().await, "public").await;
        assert_same(&pgqueuers(&mut conn, "public").await, &expected, &level.to_string());
        // From the second iteration on, our own table takes part.
        upgrade(&mut conn, &names, &WIDEN).await.expect("adopts");
        schema::set_durability(&mut conn, &names, level).await.expect("switches");
        let unlogged: bool =
            sqlx::query_scalar("SELECT relpersistence = 'u' FROM pg_class WHERE relname = 'pgqueuer_output'")
                .fetch_one(&mut conn)
                .await
                .expect("the table");
        assert_eq!(unlogged, level != Durability::Durable);
    }
    assert!("safe".parse::<Durability>().expect_err("no such level").to_string().contains("`balanced`"));
}

#[tokio::test]
async fn a_role_without_rights_can_be_told_what_is_missing() {
    let (db, names) = (Database::empty().await, names("", "jobs"));
    let mut conn = db.connect().await;
    install(&mut conn, &names).await;
    // Roles belong to the server, so this one exists only inside a transaction that is never
    // committed.
    run(&mut conn, "BEGIN; CREATE ROLE pgq_host_test_nobody; SET LOCAL ROLE pgq_host_test_nobody").await;
    check_worker(&mut conn, &names).await.expect("reads catalogs only");
    let denied =
        schema::set_durability(&mut conn, &names, Durability::Volatile).await.expect_err("no rights").to_string();
    assert!(denied.contains("as the owner"), "{denied}");
    run(&mut conn, "ROLLBACK").await;
}
