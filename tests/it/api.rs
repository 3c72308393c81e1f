//! The API: what it tells, what it changes, and what it refuses.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use pgq_host_tests::{Answer, Database, Host, Plugins, eventually};
use pgq_job::{Disposition, NewJob, Terminal, Traffic};
use pgq_queue::{Attempt, OnConflict, Record};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::web::Web;

const OPERATOR: &str = "an-operators-token-of-the-api";
const VIEWER: &str = "a-viewers-token-of-the-api-01";

/// `pgq-host web` with two tokens.
struct Api {
    web: Web,
    _tokens: TempDir,
}

impl Api {
    async fn start(database: &Database) -> Api {
        let tokens = tempfile::tempdir().unwrap();
        let file = tokens.path().join("tokens");
        std::fs::write(&file, format!("bot operator {OPERATOR}\neye viewer {VIEWER}\n")).unwrap();
        let web = Web::start(&database.dsn(), &["--token-file", file.to_str().unwrap()]).await;
        Api { web, _tokens: tokens }
    }

    async fn ask(&self, token: &str, method_and_path: &str, body: Option<&Value>) -> (u16, Value) {
        let (method, path) = method_and_path.split_once(' ').unwrap();
        let ask = self.web.ask(&format!("{method} /api/v1/{path}")).bearer(token);
        let ask = match body {
            Some(body) => ask.json(body),
            None => ask,
        };
        let Answer { status, headers, body } = ask.answer().await;
        let kind = if status < 400 { "application/json" } else { "application/problem+json" };
        let is_typed = headers.iter().any(|(name, value)| name == "content-type" && value == kind);
        assert!(status == 204 || is_typed, "{method_and_path}: {status} {headers:?}");
        (status, serde_json::from_str(&body).unwrap_or_default())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, answer) = self.ask(OPERATOR, &format!("GET {path}"), None).await;
        assert_eq!(status, 200, "{path}: {answer}");
        answer
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        let (status, answer) = self.ask(OPERATOR, &format!("POST {path}"), Some(body)).await;
        assert!(status < 300, "{path}: {answer}");
        answer
    }

    /// Refused with this status, in words that name this.
    async fn refuses(&self, method_and_path: &str, body: Option<&Value>, status: u16, named: &str) {
        let (found, answer) = self.ask(OPERATOR, method_and_path, body).await;
        let detail = answer["detail"].as_str().unwrap_or_default();
        assert!(found == status && answer["status"] == status, "{method_and_path}: {found} {answer}");
        assert!(detail.contains(named), "{method_and_path}: {answer}");
    }
}

fn of<'v>(list: &'v Value, key: &str, value: &str) -> &'v Value {
    let found = list.as_array().unwrap().iter().find(|one| one[key] == value);
    found.unwrap_or_else(|| panic!("no {key} {value:?} in {list}"))
}

#[tokio::test]
async fn it_tells_what_waits_runs_failed_and_since_which_version() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    std::fs::write(plugins.config(), "[plugins.hostile]\nenqueue = [\"*\"]\n").unwrap();
    let host = Host::start(&database, &plugins, &[]).await;
    let api = Api::start(&database).await;
    let echo = database.enqueue_many("echo", 3, "hello").await;
    let failing =
        [database.enqueue("fail", "order 17 is unknown").await, database.enqueue("fail", "order 4 is unknown").await];
    let panics = database.enqueue("panics", "").await;
    let parent = database.enqueue("follow_up", "complete").await;
    database.execute("INSERT INTO pgqueuer (priority, entrypoint, status, execute_after, created) SELECT 0, 'nobody', 'queued', now() + n * interval '1 hour' - interval '90 minutes', now() - interval '2 hours' FROM generate_series(0, 4) AS n").await;
    for id in &echo {
        database.wait_for(*id, "successful").await;
    }
    for id in failing.iter().chain([&panics]) {
        database.wait_for(*id, "failed").await;
    }
    database.wait_for(parent, "successful").await;

    let mut overview = Value::Null;
    eventually("what happened is counted", async || {
        overview = api.get("overview").await;
        let echo = overview["entrypoints"].as_array().unwrap().iter().find(|one| one["entrypoint"] == "echo");
        let ended = |lately: &Value| lately["hour"]["successful"].as_i64();
        // The follow-ups are two of them.
        echo.is_some_and(|echo| ended(&echo["lately"]) >= Some(4))
            && overview["entrypoints"].as_array().unwrap().iter().any(|one| one["lately"]["hour"]["failed"] == 2)
    })
    .await;
    let entrypoints = &overview["entrypoints"];
    let names: Vec<&str> =
        entrypoints.as_array().unwrap().iter().map(|one| one["entrypoint"].as_str().unwrap()).collect();
    assert_eq!(names, ["echo", "fail", "follow_up", "nobody", "panics"]);
    let nobody = of(entrypoints, "entrypoint", "nobody");
    assert_eq!(nobody["due"], json!({ "jobs": 2, "more": false }));
    assert_eq!(nobody["deferred"], json!({ "jobs": 3, "more": false }));
    let oldest = nobody["oldest_seconds"].as_f64().unwrap();
    assert!((5_300.0..5_800.0).contains(&oldest), "due for 90 minutes: {oldest}");
    assert_eq!(of(entrypoints, "entrypoint", "fail")["held"], json!({ "jobs": 2, "more": false }));
    let runs = &of(entrypoints, "entrypoint", "echo")["runs"];
    assert!(runs["runs"].as_i64() >= Some(3) && runs["failed"] == 0 && runs["p95_us"].as_i64() > Some(0), "{runs}");
    assert_eq!(of(entrypoints, "entrypoint", "fail")["runs"]["failed"], 4, "each of two jobs ran twice");
    let minutes = overview["minutes"].as_array().unwrap();
    let successes: i64 = minutes.iter().map(|minute| minute["successful"].as_i64().unwrap()).sum();
    assert!(minutes.len() == 60 && successes >= 5, "{overview}");
    // One by one, pages have the same, and one alone is itself.
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let page = api.get(&format!("overview?limit=2{after}")).await;
        paged.extend(
            page["entrypoints"].as_array().unwrap().iter().map(|one| one["entrypoint"].as_str().unwrap().to_owned()),
        );
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(paged, names);
    let alone = api.get("overview?entrypoint=nobody").await;
    assert_eq!(
        (alone["entrypoints"].as_array().unwrap().len(), &alone["entrypoints"][0]["due"]["jobs"]),
        (1, &json!(2))
    );

    let failures = api.get("failures").await;
    let groups = failures["groups"].as_array().unwrap();
    let failed: i64 = groups.iter().map(|group| group["failures"].as_i64().unwrap()).sum();
    assert_eq!((groups.len(), failed, &failures["cut"]), (2, 5, &json!(false)), "{failures}");
    let unknown = of(&failures["groups"], "entrypoint", "fail");
    assert_eq!((&unknown["message"], &unknown["exception_type"]), (&json!("order <n> is unknown"), &json!("Retry")));
    assert_eq!((&unknown["failures"], &unknown["held"], &unknown["frame"]), (&json!(4), &json!(2), &Value::Null));
    let version = &unknown["versions"][0];
    assert_eq!(
        (&version["plugin"], &version["version"], &version["failures"]),
        (&json!("hostile"), &json!("1.2.3"), &json!(4))
    );
    let panic = of(&failures["groups"], "entrypoint", "panics");
    let frame = panic["frame"].as_str().unwrap();
    assert!(!frame.contains("panicking") && !frame.starts_with("std::"), "the handler's own frame: {frame}");
    let held: BTreeSet<i64> = unknown["held_examples"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
    assert_eq!(held, failing.into());
    let key = unknown["key"].as_str().unwrap();
    let of_cause = api.get(&format!("jobs?cause={key}")).await;
    let ids: BTreeSet<i64> = of_cause["jobs"].as_array().unwrap().iter().filter_map(|job| job["id"].as_i64()).collect();
    assert_eq!(ids, failing.into());

    let job = api.get(&format!("jobs/{parent}")).await;
    let follow_ups = job["attempts"][0]["follow_ups"].as_array().unwrap();
    assert!(follow_ups.len() == 2 && job["parent"] == Value::Null, "{job}");
    let child = follow_ups[0].as_i64().unwrap();
    assert_eq!(api.get(&format!("jobs/{child}")).await["parent"], parent);
    assert_eq!(api.get(&format!("jobs/{}", failing[0])).await["attempts"][0]["failed"], true);

    let fleet = api.get("hosts").await;
    assert_eq!((&fleet["hosts"][0]["pid"], &fleet["hosts"][0]["lost"]), (&json!(host.pid()), &json!(false)));
    let file = &fleet["hosts"][0]["plugins"][0];
    assert_eq!((&file["plugin"], &file["sha256"]), (&json!("hostile"), &version["sha256"]), "{fleet}");
    let plugins = api.get("plugins").await;
    let known = &of(&plugins["plugins"], "name", "hostile")["versions"][0];
    assert_eq!((known["stable_on"].as_array().unwrap().len(), &known["sha256"]), (1, &version["sha256"]), "{plugins}");
    assert!(known["runs"]["failed"].as_i64() >= Some(5), "{known}");
    host.stop().await;
}

fn follow_up(key: Option<&str>) -> NewJob {
    NewJob { entrypoint: "child".into(), dedupe_key: key.map(str::to_owned), ..NewJob::default() }
}

#[tokio::test]
async fn follow_ups_are_those_of_their_parent_where_others_are_skipped() {
    let database = Database::new().await;
    let queue = database.queue();
    queue.enqueue(&[follow_up(Some("taken"))], OnConflict::Raise).await.unwrap();
    database.enqueue_many("parent", 4, "").await;
    let jobs = queue.claim(&[Arc::from("parent")], 4).await.unwrap();
    let keys = [
        vec![None, Some("taken"), Some("new")],
        vec![Some("new"), Some("taken")],
        vec![Some("other"), None, Some("other"), None],
        vec![],
    ];
    let records: Vec<Record> = jobs
        .jobs
        .iter()
        .zip(&keys)
        .map(|(job, keys)| {
            let follow_ups = keys.iter().map(|key| follow_up(*key)).collect();
            let done = Disposition::Finished {
                status: Terminal::Successful,
                traceback: None,
                output: Some(vec![1]),
                follow_ups,
            };
            let attempt = Attempt {
                number: 1,
                plugin: 7,
                elapsed: Duration::from_millis(3),
                memory: 1,
                processor: Duration::ZERO,
                traffic: Traffic::default(),
            };
            Record { attempt: Some(attempt), ..Record::new(job.claim, done) }
        })
        .collect();
    assert_eq!(queue.record(&records).await.unwrap().len(), 4);
    let api = Api::start(&database).await;
    let mut children = Vec::new();
    for (record, most) in records.iter().zip([2, 0, 3, 0]) {
        let job = api.get(&format!("jobs/{}", record.claim.id)).await;
        let follow_ups: Vec<i64> =
            job["attempts"][0]["follow_ups"].as_array().unwrap().iter().filter_map(Value::as_i64).collect();
        assert_eq!(follow_ups.len(), most, "{job}");
        for child in &follow_ups {
            assert_eq!(api.get(&format!("jobs/{child}")).await["parent"], record.claim.id);
        }
        children.extend(follow_ups);
    }
    let new: Vec<i64> = sqlx::query_scalar("SELECT id FROM pgqueuer WHERE entrypoint = 'child' ORDER BY id OFFSET 1")
        .fetch_all(database.pool())
        .await
        .unwrap();
    assert_eq!(children, new, "each that was enqueued has its parent, in order");
    assert_eq!(api.get(&format!("jobs/{}", new[0] - 1)).await["parent"], Value::Null);
}

#[tokio::test]
async fn changes_count_first_and_are_in_the_audit() {
    let database = Database::new().await;
    let ids = database.enqueue_many("orders", 5, "x").await;
    database.enqueue_many("others", 2, "x").await;
    let api = Api::start(&database).await;
    let filter = json!({ "entrypoint": "orders" });
    let count = api.post("jobs/cancel", &json!({ "filter": filter, "dry_run": true })).await;
    assert_eq!(count, json!({ "matched": 5, "changed": 0, "more": false }));
    api.refuses("POST jobs/cancel", Some(&json!({ "filter": filter })), 409, "5 jobs match").await;
    api.refuses("POST jobs/cancel", Some(&json!({ "filter": filter, "expected": 4 })), 409, "not 4").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 7, "nothing was done");

    api.post("jobs/edit", &json!({ "ids": [ids[0]], "payload_hex": "00ff", "priority": 7, "reason": "a test" })).await;
    assert_eq!(
        database
            .count(&format!(
                "SELECT count(*) FROM pgqueuer WHERE id = {} AND payload = '\\x00ff' AND priority = 7",
                ids[0]
            ))
            .await,
        1
    );
    api.post("jobs/reschedule", &json!({ "ids": ids, "delay": "2h" })).await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE execute_after > now() + interval '1 hour'").await,
        5
    );
    let retried = api.post("jobs/retry-now", &json!({ "filter": { "entrypoint": "orders" }, "confirm": true })).await;
    assert_eq!(retried, json!({ "matched": 5, "changed": 5, "more": false }));
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE execute_after > now()").await, 0);
    let cancelled = api.post("jobs/cancel", &json!({ "filter": filter, "expected": 5, "reason": "too many" })).await;
    assert_eq!(cancelled, json!({ "matched": 5, "changed": 5, "more": false }));
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 2);

    database.execute("UPDATE pgqueuer SET status = 'failed'").await;
    let named = api.post("jobs/requeue", &json!({ "ids": [ids[0], 4711] })).await;
    assert_eq!((&named["changed"], &named["requeued"][0]["result"]), (&json!(0), &json!("not_found")), "{named}");
    assert_eq!(api.post("jobs/requeue", &json!({ "filter": {}, "confirm": true })).await["changed"], 2);

    let first = api.get("audit?limit=2").await;
    let more = api.get(&format!("audit?before={}", first["next"])).await;
    let rows = [first["entries"].as_array().unwrap().clone(), more["entries"].as_array().unwrap().clone()].concat();
    let actions: Vec<&str> = rows.iter().map(|row| row["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["requeue", "requeue", "cancel", "retry_now", "reschedule", "edit"]);
    let cancel = &rows[2];
    assert_eq!((&cancel["author"], &cancel["reason"], &cancel["jobs"]), (&json!("bot"), &json!("too many"), &json!(5)));
    assert!(!rows[5].to_string().contains("00ff"), "no payload is in the audit: {}", rows[5]);
}

#[tokio::test]
async fn pauses_verdicts_and_schedules_are_steered() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let api = Api::start(&database).await;
    let pause = json!({ "kind": "entrypoint", "name": "echo", "reason": "a look", "lasts": "1h" });
    assert_eq!(api.post("pauses", &pause).await["hosts"], 1);
    let paused = api.get("pauses").await;
    assert_eq!((&paused[0]["name"], &paused[0]["author"]), (&json!("echo"), &json!("bot")));
    let waits = database.enqueue("echo", "x").await;
    api.post("pauses/resume", &json!({ "kind": "entrypoint", "name": "echo" })).await;
    database.wait_for(waits, "successful").await;
    api.refuses("POST pauses/resume", Some(&json!({ "kind": "all" })), 404, "not paused").await;
    api.refuses("POST pauses", Some(&json!({ "kind": "plug", "reason": "x" })), 400, "\"plug\"").await;
    api.refuses("POST pauses", Some(&json!({ "kind": "all" })), 400, "why").await;

    database.execute("INSERT INTO pgqueuer_verdict (subject, sha256, name, verdict, reason, rules, host) VALUES ('ab', 'ab', 'hostile', 'rolled_back', 'r', '', 'h')").await;
    let looked = api.get("plugins").await;
    let versions = &of(&looked["plugins"], "name", "hostile")["versions"];
    assert_eq!(of(versions, "sha256", "ab")["judgements"][0]["verdict"], "rolled_back", "{looked}");
    assert_eq!(api.post("plugins/reset", &json!({ "name": "hostile" })).await, json!({ "hosts": 1, "verdicts": 1 }));
    api.refuses("POST plugins/roll-back", Some(&json!({ "name": "hostile", "sha256": "cd" })), 404, "\"cd\"").await;
    assert_eq!(api.post("plugins/reload", &json!({})).await["hosts"], 1);

    database.execute("INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run) VALUES ('0 3 * * *', 'echo', '2100-01-01 03:00Z'), ('@nonsense', 'echo', now() + interval '1 day')").await;
    let schedules = api.get("schedules").await;
    let daily = of(&schedules, "expression", "0 3 * * *");
    let runs: Vec<&str> = daily["next_runs"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert_eq!(runs[..2], ["2100-01-01T03:00:00Z", "2100-01-02T03:00:00Z"]);
    assert!(of(&schedules, "expression", "@nonsense")["problem"].as_str().unwrap().contains("@nonsense"));
    let id = daily["id"].as_i64().unwrap();
    let job = api.post(&format!("schedules/{id}/run"), &json!({ "reason": "now" })).await["job"].as_i64().unwrap();
    // It has no payload, as no tick has, and what `echo` makes of that does not matter here.
    let ran = format!("SELECT count(*) FROM pgqueuer_log WHERE job_id = {job} AND status = 'picked'");
    eventually("it runs", async || database.count(&ran).await > 0).await;
    assert_eq!(of(&api.get("schedules").await, "expression", "0 3 * * *")["next_runs"][0], runs[0], "it stays");
    api.post(&format!("schedules/{id}/remove"), &json!({})).await;
    api.refuses(&format!("POST schedules/{id}/run"), Some(&json!({})), 404, &id.to_string()).await;
    let listed = api.get("audit").await;
    let actions: Vec<&str> =
        listed["entries"].as_array().unwrap().iter().filter_map(|row| row["action"].as_str()).collect();
    assert_eq!(actions, ["remove_schedule", "run_schedule", "reset", "resume", "pause"]);
    host.stop().await;
}

#[tokio::test]
async fn a_viewer_sees_no_payload_output_header_or_line_and_changes_nothing() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let api = Api::start(&database).await;
    let id = database.enqueue("waits", "a secret payload").await;
    database
        .execute(&format!("UPDATE pgqueuer SET headers = '{{\"tenant\": \"a secret header\"}}' WHERE id = {id}"))
        .await;
    let seen = api.get(&format!("jobs/{id}")).await;
    assert_eq!((&seen["row"]["payload"]["text"], &seen["hidden"]), (&json!("a secret payload"), &json!(false)));
    assert_eq!(seen["row"]["headers"]["tenant"], "a secret header");
    let host = Host::start(&database, &plugins, &[]).await;
    let echo = database.enqueue("echo", "a secret output").await;
    database.wait_for(echo, "successful").await;
    assert_eq!(api.get(&format!("jobs/{echo}")).await["output"]["text"], "a secret output");
    let document = api.get("openapi.json").await;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods.as_object().unwrap().keys() {
            let path = path.trim_start_matches("/api/v1/").replace("{id}", &id.to_string());
            let body = (method == "post").then(|| json!({}));
            let asked = format!("{} {path}", method.to_uppercase());
            let (status, answer) = api.ask(VIEWER, &asked, body.as_ref()).await;
            let for_operators = method == "post" || path.ends_with("lines");
            // A body may be refused for what it lacks before it matters who sends it.
            let refused = status == 403 || (method == "post" && (400..500).contains(&status));
            assert!(if for_operators { refused } else { status == 200 }, "{asked}: {status} {answer}");
            assert!(!answer.to_string().contains("secret"), "{asked}: {answer}");
        }
    }
    let (_, shown) = api.ask(VIEWER, &format!("GET jobs/{echo}"), None).await;
    assert!(shown["hidden"] == true && !shown.to_string().contains("secret"), "{shown}");
    let cancel = json!({ "ids": [id] });
    assert_eq!(api.ask(VIEWER, "POST jobs/cancel", Some(&cancel)).await.0, 403);
    assert_eq!(database.count(&format!("SELECT count(*) FROM pgqueuer WHERE id = {id}")).await, 1);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_audit").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn bad_requests_are_refused_with_the_value_and_the_remedy() {
    let database = Database::new().await;
    let api = Api::start(&database).await;
    for (asked, named) in [
        ("GET jobs?status=lost", "\"lost\""),
        ("GET jobs?statsu=failed", "`statsu`"),
        ("GET jobs?after=5", "\"5\""),
        ("GET jobs?after=id:5&status=picked", "another list"),
        ("GET jobs?limit=100000", "100000"),
        ("GET jobs?look=0", "look: 0"),
        ("GET jobs?older=soon", "\"soon\""),
        ("GET jobs?plugin=xyz", "\"xyz\""),
        ("GET jobs?status=successful&header=a", "header"),
        ("GET jobs/seven", "\"seven\""),
        ("GET jobs/1?bytes=-1", "bytes: -1"),
        ("GET overview?limit=0", "0"),
        ("GET failures?younger=x", "\"x\""),
        ("GET audit?before=x", "before"),
    ] {
        api.refuses(asked, None, 400, named).await;
    }
    api.refuses("GET jobs/4711", None, 404, "4711").await;
    for (body, named) in [
        (json!({}), "`ids`"),
        (json!({ "ids": [1], "filter": {} }), "not both"),
        (json!({ "ids": [1], "priority": 1 }), "priority"),
        (json!({ "filter": { "status": "successful" } }), "successful"),
    ] {
        api.refuses("POST jobs/cancel", Some(&body), 400, named).await;
    }
    let many: Vec<i64> = (0..10_001).collect();
    api.refuses("POST jobs/cancel", Some(&json!({ "ids": many })), 400, "10001").await;
    api.refuses("POST jobs/edit", Some(&json!({ "ids": [1] })), 400, "`payload`").await;
    api.refuses("POST jobs/edit", Some(&json!({ "ids": [1], "payload_hex": "abc" })), 400, "payload_hex").await;
    api.refuses("POST jobs/reschedule", Some(&json!({ "ids": [1] })), 400, "`at`").await;
    api.refuses("POST jobs/cancel", Some(&json!({ "id": 1 })), 422, "`id`").await;
}

#[tokio::test]
async fn lists_are_read_on_by_their_cursors() {
    let database = Database::new().await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, status)
             SELECT n % 3, 'e' || n % 4, (ARRAY['queued', 'failed'])[1 + n % 2]::pgqueuer_status FROM generate_series(1, 60) AS n;
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint) SELECT n, 'successful', 0, 'e' FROM generate_series(100, 130) AS n",
        )
        .await;
    let api = Api::start(&database).await;
    for (filter, jobs) in [
        ("", 60),
        ("status=failed", 30),
        ("status=queued&entrypoint=e0", 15),
        ("status=failed&entrypoint=e1", 15),
        ("status=successful", 31),
    ] {
        for bounds in ["limit=7", "limit=7&look=11"] {
            let (mut found, mut after) = (Vec::new(), String::new());
            loop {
                let page = api.get(&format!("jobs?{filter}&{bounds}{after}")).await;
                found.extend(page["jobs"].as_array().unwrap().iter().filter_map(|job| job["id"].as_i64()));
                let Some(next) = page["next"].as_str() else { break };
                after = format!("&after={next}");
            }
            assert_eq!(found.len(), jobs, "{filter} {bounds}");
            assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), jobs, "{filter} {bounds}: each once");
        }
    }
}

#[tokio::test]
async fn the_document_is_the_one_that_is_kept() {
    let database = Database::new().await;
    let api = Api::start(&database).await;
    let served = api.get("openapi.json").await;
    assert!(served["openapi"].as_str().unwrap().starts_with("3.1."), "{}", served["openapi"]);
    for (path, methods) in served["paths"].as_object().unwrap() {
        for (method, told) in methods.as_object().unwrap() {
            assert!(told["summary"].is_string(), "{method} {path} does not say what it is for");
        }
    }
    let served = serde_json::to_string_pretty(&served).unwrap() + "\n";
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi.json");
    if std::env::var_os("PGQ_UPDATE_SNAPSHOTS").is_some() {
        std::fs::write(&kept, &served).unwrap();
    }
    let kept = std::fs::read_to_string(kept).unwrap_or_default();
    let differ = kept.lines().zip(served.lines()).find(|(kept, served)| kept != served);
    assert!(
        kept == served,
        "docs/openapi.json differs: {differ:?}; if that is meant, run this with PGQ_UPDATE_SNAPSHOTS=1"
    );
}
