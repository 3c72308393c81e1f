//! The pages as people use them, in a browser, and what they make of text that others wrote.

use std::collections::HashMap;
use std::process::Stdio;

use pgq_host_tests::{Browser, Database, Host, Pages, Plugins, eventually, pgq_host};
use serde_json::Value;
use tokio::io::AsyncReadExt as _;

use crate::reload::{sha256, version};

/// `pgq-host web` on this database.
async fn web(database: &Database, args: &[&str]) -> (Host, Pages) {
    let pages = Pages::anywhere();
    let address = pages.address();
    let port = address.rsplit(':').next().expect("a port");
    let mut command = pgq_host(&database.dsn());
    command.args(["web", "--port", port]).args(args);
    let host = Host::launch(command);
    eventually("the pages answer", async || pages.get("/assets/").0 != 0).await;
    (host, pages)
}

/// So many jobs of this entrypoint that failed for good, held with an error.
async fn held(database: &Database, entrypoint: &str, jobs: i64, error: &str) -> Vec<i64> {
    sqlx::query_scalar(
        "WITH held AS (
             INSERT INTO pgqueuer (priority, entrypoint, payload, status, attempts, headers)
             SELECT 0, $1, convert_to('{\"order\": \"<b>' || n || '</b>\"}', 'UTF8'), 'failed', 3, jsonb_build_object('tenant', $3::text)
             FROM generate_series(1, $2) AS n RETURNING id, entrypoint
         ), logged AS (
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
             SELECT id, 'failed', 0, entrypoint, jsonb_build_object('exception_type', 'Trap', 'exception_message', $3::text, 'traceback', $3::text)
             FROM held
         )
         SELECT id FROM held ORDER BY id",
    )
    .bind(entrypoint)
    .bind(jobs)
    .bind(error)
    .fetch_all(database.pool())
    .await
    .unwrap()
}

async fn audited(database: &Database, action: &str) -> Value {
    let all = database.cli_ok(&["audit", "--json"]).await.json();
    all.as_array()
        .unwrap()
        .iter()
        .find(|row| row["action"] == action)
        .cloned()
        .unwrap_or_else(|| panic!("no {action} in {all}"))
}

#[tokio::test]
async fn single_jobs_and_many_are_changed_by_a_click() {
    let database = Database::new().await;
    let ids = held(&database, "orders", 3, "no luck").await;
    let (_web, pages) = web(&database, &[]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };

    let status = async |id: i64| -> Option<String> {
        let query = sqlx::query_scalar("SELECT status::text FROM pgqueuer WHERE id = $1").bind(id);
        query.fetch_optional(database.pool()).await.unwrap()
    };
    browser.does("retry", &ids[0].to_string()).await;
    assert_eq!(status(ids[0]).await.as_deref(), Some("queued"));
    assert_eq!(audited(&database, "requeue").await["author"], "local");
    browser.does("without_script", &ids[1].to_string()).await;
    assert_eq!(status(ids[1]).await.as_deref(), Some("queued"));
    browser.does("cancel", &ids[2].to_string()).await;
    assert_eq!(status(ids[2]).await, None);
    assert_eq!(audited(&database, "cancel").await["reason"], "a duplicate");

    let kept = database.enqueue("bulk_not", "").await;
    database.enqueue_many("bulk", 3, "").await;
    browser.does("cancel_many", "bulk").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'bulk'").await, 0);
    assert_eq!(status(kept).await.as_deref(), Some("queued"), "what does not match stays");
}

#[tokio::test]
async fn an_entrypoint_is_paused_and_a_version_rolled_back_by_a_click() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.put_as("good", "job.wasm");
    let _host = Host::start(&database, &plugins, &[]).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    let (_web, pages) = web(&database, &[]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };

    browser.does("pause", "work").await;
    let pauses = database.cli_ok(&["pauses", "--json"]).await.json();
    assert_eq!((&pauses[0]["name"], &pauses[0]["author"]), (&"work".into(), &"local".into()), "{pauses}");
    browser.does("resume", "").await;
    assert_eq!(database.cli_ok(&["pauses", "--json"]).await.json(), serde_json::json!([]));

    let second = version("good", 2);
    plugins.replace("job.wasm", &second);
    let digest = sha256(&second);
    let announced = format!("SELECT count(*) FROM pgqueuer_host WHERE plugins::text LIKE '%{digest}%'");
    eventually("the second version is announced", async || database.count(&announced).await == 1).await;
    browser.does("roll_back", &digest[..12]).await;
    let verdict =
        format!("SELECT count(*) FROM pgqueuer_verdict WHERE sha256 = '{digest}' AND verdict = 'rolled_back'");
    assert_eq!(database.count(&verdict).await, 1);
    let served = format!(
        "SELECT count(*) FROM pgqueuer_host WHERE plugins @> '[{{\"sha256\": \"{digest}\"}}]' OR plugins @> '[{{\"canary\": {{\"sha256\": \"{digest}\"}}}}]'"
    );
    eventually("no host serves it any more", async || database.count(&served).await == 0).await;
    assert_eq!(audited(&database, "rollback").await["reason"], "it breaks orders");
    database.wait_for(database.enqueue("work", "").await, "successful").await;
}

#[tokio::test]
async fn a_version_is_quarantined_and_that_is_lifted_by_a_click() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.put_as("good", "job.wasm");
    let _host = Host::start(&database, &plugins, &[]).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    let (_web, pages) = web(&database, &[]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };
    let digest = sha256(&std::fs::read(pgq_host_tests::guest("good")).unwrap());
    browser.does("quarantine", &digest[..12]).await;
    assert_eq!(audited(&database, "quarantine").await["reason"], "it pays twice");
    let served = format!("SELECT count(*) FROM pgqueuer_host WHERE plugins @> '[{{\"sha256\": \"{digest}\"}}]'");
    eventually("no host serves it", async || database.count(&served).await == 0).await;
    browser.does("lift", &digest[..12]).await;
    eventually("it is served again", async || database.count(&served).await == 1).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
}

#[tokio::test]
async fn a_schedule_is_paused_edited_and_put_back_by_keyboard() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["scheduled"]));
    let _host = Host::start(&database, &plugins, &[]).await;
    eventually("it is there", async || database.count("SELECT count(*) FROM pgqueuer_schedules").await == 4).await;
    let (_web, pages) = web(&database, &[]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };
    browser.does("schedule", "flaky").await;
    let actions: Vec<String> =
        sqlx::query_scalar("SELECT action FROM pgqueuer_audit ORDER BY id").fetch_all(database.pool()).await.unwrap();
    assert_eq!(actions, ["pause_schedule", "edit_schedule", "restore_schedule", "resume_schedule"]);
    assert_eq!(audited(&database, "pause_schedule").await["reason"], "the numbers are wrong");
    assert_eq!(audited(&database, "edit_schedule").await["filter"]["replaced"], "CRON_TZ=Europe/Berlin 30 6 * * *");
    let neutral = "SELECT count(*) FROM pgqueuer_adjustment WHERE paused OR replaced IS NOT NULL";
    assert_eq!(database.count(neutral).await, 0);
}

#[tokio::test]
async fn the_pages_are_used_by_keyboard_and_tell_news_by_themselves() {
    let database = Database::new().await;
    let ids = held(&database, "orders", 2, "no luck").await;
    let (_web, pages) = web(&database, &[]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };
    browser.does("waits", "").await;
    browser.does("keyboard", &ids[0].to_string()).await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued'").await, 1);

    let mut watching =
        browser.command("live", "arrived").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first = [0; 8];
    watching.stdout.as_mut().unwrap().read_exact(&mut first).await.expect("it watches");
    database.enqueue("arrived", "").await;
    let output = watching.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn a_visitor_logs_in() {
    let database = Database::new().await;
    let (_web, pages) = web(&database, &["--user", "ann", "--password", "correct horse battery"]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };
    browser.does("log_in", "correct horse battery").await;
}

#[tokio::test]
async fn every_page_is_accessible_and_fits_a_phone() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["good"]));
    let _host = Host::start(&database, &plugins, &[]).await;
    database.wait_for(database.enqueue("work", "").await, "successful").await;
    let ids = held(&database, &"an_entrypoint_with_a_long_name".repeat(4), 60, &"word ".repeat(300)).await;
    database.cli_ok(&["pause", "--entrypoint", "work", "--reason", "a test"]).await;
    let (_web, pages) = web(&database, &[]).await;
    let Some(browser) = Browser::at(&format!("http://{}", pages.address())) else { return };
    browser.does("accessible", &ids[0].to_string()).await;
}

/// All pages, with what each says.
fn all_pages(pages: &Pages, job: i64) -> HashMap<String, String> {
    let job = format!("/jobs/{job}");
    let paths = [
        "/",
        "/jobs",
        "/jobs?status=failed",
        &job,
        "/failures",
        "/plugins",
        "/hosts",
        "/schedules",
        "/audit",
        "/pauses",
        "/jobs/change?verb=requeue&status=failed",
    ];
    let get = |path: &str| {
        let (status, body) = pages.get(path);
        assert_eq!(status, 200, "{path}: {body}");
        (path.to_owned(), body)
    };
    paths.into_iter().map(get).collect()
}

/// What is between the tags.
fn text(html: &str) -> String {
    // What is edited has to be what it is.
    let (mut shown, mut rest) = (String::new(), html);
    while let Some((before, field)) = rest.split_once("<textarea") {
        shown += before;
        rest = field.split_once("</textarea>").expect("it ends").1;
    }
    shown += rest;
    shown.split('<').filter_map(|part| part.split_once('>')).map(|(_, text)| text).collect()
}

#[tokio::test]
async fn nothing_that_others_wrote_becomes_markup() {
    let database = Database::new().await;
    let evil = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'\u{202e}\u{1b}[2J";
    let id = held(&database, evil, 1, evil).await[0];
    sqlx::query("UPDATE pgqueuer SET payload = convert_to($1, 'UTF8'), dedupe_key = $1")
        .bind(evil)
        .execute(database.pool())
        .await
        .unwrap();
    database
        .execute("INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run, status) VALUES ('<script>alert(1)</script>', '<script>alert(1)</script>', now(), 'queued')")
        .await;
    database.cli_ok(&["pause", "--plugin", evil, "--reason", evil, "--author", evil]).await;
    database
        .execute("INSERT INTO pgqueuer_adjustment (expression, entrypoint, paused, replaced, reason, author, role) SELECT expression, entrypoint, true, expression, expression, expression, '' FROM pgqueuer_schedules")
        .await;
    let announced = serde_json::json!([{ "file": evil, "plugin": evil, "version": evil, "sha256": evil, "entrypoints": [evil], "paused": [evil], "error": evil,
        "versions": [{ "version": evil, "sha256": evil, "grants": [{ "kind": evil, "name": evil }], "missing": [evil], "limits": { evil: 1 },
                       "denied": [{ "what": evil, "target": evil, "why": evil, "times": 1 }] }] }]);
    sqlx::query(
        "INSERT INTO pgqueuer_host (id, name, pid, version, plugins) VALUES (gen_random_uuid(), $1, 1, $1, $2)",
    )
    .bind(evil)
    .bind(announced)
    .execute(database.pool())
    .await
    .unwrap();
    let (_web, pages) = web(&database, &[]).await;
    for (path, body) in all_pages(&pages, id) {
        for markup in ["<script>alert", "<img src=x", "<b>"] {
            assert!(!body.contains(markup), "{path} has {markup:?}:\n{body}");
        }
        // A hidden field has a name as it is.
        let text = text(&body);
        assert!(!text.contains(['\u{202e}', '\u{1b}']), "{path} turns text around:\n{text}");
        assert!(
            !body.contains(" style=") && !body.contains("javascript:") && !body.contains(" onclick"),
            "{path} has what its policy forbids"
        );
        let is_told = path == "/audit" || body.contains("&lt;script&gt;alert(1)&lt;/script&gt;");
        assert!(is_told, "{path} does not show it:\n{body}");
    }
    let (status, body) = pages.get("/jobs/%3Cscript%3Ealert(1)%3C%2Fscript%3E");
    assert!(status == 400 && body.contains("&lt;script&gt;") && !body.contains("<script>alert"), "{status} {body}");
}

/// What a run printed, the error it ended with, and the name of a file, as a real host puts them down; and what a
/// browser makes of it all.
#[tokio::test]
async fn nothing_that_a_run_printed_or_a_file_is_called_becomes_markup() {
    const EVIL: &str = "</pre><script>alert(1)</script><svg onload=alert(1)>\"'><img src=x onerror=alert(1)>\u{202e}";
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    plugins.write("<img src=x onerror=alert(1)>.wasm", b"no component");
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("says", EVIL).await;
    database.wait_for(id, "failed").await;
    let lines = format!("SELECT count(*) FROM pgqueuer_lines WHERE job_id = {id}");
    eventually("what it printed is kept", async || database.count(&lines).await > 0).await;
    let refused = "SELECT count(*) FROM pgqueuer_host WHERE plugins::text LIKE '%onerror%'";
    eventually("the file is told of", async || database.count(refused).await == 1).await;
    let (_web, pages) = web(&database, &[]).await;
    for (path, body) in all_pages(&pages, id) {
        for markup in ["<script>alert", "<svg onload", "<img src=x"] {
            assert!(!body.contains(markup), "{path} has {markup:?}:\n{body}");
        }
        let text = text(&body);
        assert!(!text.contains('\u{202e}'), "{path} turns text around:\n{text}");
    }
    let (_, job) = pages.get(&format!("/jobs/{id}"));
    assert!(job.matches("&lt;svg onload=alert(1)&gt;").count() >= 4, "payload, lines and error are shown: {job}");
    let (_, shown) = pages.get("/plugins");
    assert!(shown.contains("&lt;img src=x onerror=alert(1)&gt;.wasm"), "{shown}");
    if let Some(browser) = Browser::at(&format!("http://{}", pages.address())) {
        browser.does("harmless", &id.to_string()).await;
    }
    host.stop().await;
}

#[tokio::test]
async fn ten_thousand_entrypoints_make_no_page_long() {
    let database = Database::new().await;
    database
        .execute(
            "INSERT INTO pgqueuer (priority, entrypoint, status) SELECT 0, 'e' || n, 'queued' FROM generate_series(1, 10000) AS n;
             INSERT INTO pgqueuer (priority, entrypoint, status) VALUES (0, 'zz_last', 'queued')",
        )
        .await;
    let (_web, pages) = web(&database, &[]).await;
    let (status, body) = pages.get("/");
    assert_eq!(status, 200, "{body}");
    assert!(body.len() < 400_000, "{} bytes", body.len());
    assert!(body.contains("rel=\"next\"") && body.contains("more entrypoints than a look takes"), "{body}");
    let (_, found) = pages.get("/?name=zz_last");
    assert!(found.contains("/jobs?entrypoint=zz_last"), "found by its whole name: {found}");
}
