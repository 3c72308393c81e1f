//! The dashboard in a real terminal: what each view shows, what keys change, and that the terminal is
//! given back however it ends.

use pgq_host_tests::{Database, Host, Plugins, Proxy, Screen};
use rustix::process::Signal;
use serde_json::Value;

const SMALL: (u16, u16) = (80, 24);
const LARGE: (u16, u16) = (200, 60);
const WORKER: &str = "00000000-0000-4000-8000-000000000007";

/// A shop with a host: jobs in every status, failures of two causes, an hour of statistics.
pub(crate) async fn shop() -> Database {
    let database = Database::new().await;
    database
        .execute(&format!(
            "INSERT INTO pgqueuer_host (id, name, pid, version, started, seen, plugins) VALUES ('{WORKER}', 'worker-1', 7, '0.1.0',
                now() - interval '3 hours 10 seconds', now(), jsonb_build_array(jsonb_build_object('file', 'shop.wasm', 'plugin', 'shop',
                'version', '1.4.0', 'sha256', repeat('ab', 32), 'entrypoints', jsonb_build_array('invoice', 'report', 'thumbnail'))));
             INSERT INTO pgqueuer_plugin VALUES (1, 'shop', '1.4.0', repeat('ab', 32), now() - interval '2 days 1 hour'),
                (2, 'shop', '1.3.0', repeat('cd', 32), now() - interval '9 days 1 hour');
             INSERT INTO pgqueuer_verdict (subject, sha256, name, version, verdict, reason, rules, host, judged) VALUES ('x', repeat('cd', 32),
                'shop', '1.3.0', 'rolled_back', '20 of 20 runs failed', '', 'worker-1', now() - interval '2 days 1 hour');
             INSERT INTO pgqueuer (priority, entrypoint, status, payload, created, updated, execute_after, queue_manager_id, attempts)
             SELECT 0, 'thumbnail', 'queued', '{{\"image\": 1}}', now() - n * interval '10 s', now(), now() - n * interval '10 s', NULL, 0
             FROM generate_series(1, 3) AS n;
             INSERT INTO pgqueuer (priority, entrypoint, status, payload, created, updated, heartbeat, queue_manager_id, attempts)
             VALUES (0, 'thumbnail', 'picked', 'x', now() - interval '125 s', now() - interval '65 s', now(), '{WORKER}', 1);
             INSERT INTO pgqueuer (priority, entrypoint, status, payload, created, updated, execute_after, attempts)
             SELECT 5, 'report', 'queued', 'r', now() - interval '1 hour 10 s', now(), now() + interval '2 hours 10 minutes', 0
             FROM generate_series(1, 2);
             INSERT INTO pgqueuer (priority, entrypoint, status, payload, headers, created, updated, attempts)
             SELECT 0, 'invoice', 'failed', convert_to('{{\"order\": ' || 40 + n || '}}', 'UTF8'), '{{\"tenant\": \"acme\"}}',
                    now() - interval '25 min 10 s', now() - n * interval '5 min' - interval '10 s', 2
             FROM generate_series(1, 4) AS n;
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated, traceback)
             SELECT id, 'failed', 0, entrypoint, updated, true, jsonb_build_object('exception_type', 'Retry', 'exception_message',
                    CASE WHEN row_number() OVER (ORDER BY id) < 4 THEN 'order ' || id || ' is unknown' ELSE 'mail server: connection refused' END,
                    'traceback', '   2: 0x1a2b - shop.wasm!shop::invoice::send', 'additional_context', jsonb_build_object('attempt', 2,
                    'plugin', 'shop', 'plugin_version', '1.4.0', 'plugin_sha256', repeat('ab', 32), 'queue_manager_id', '{WORKER}'))
             FROM pgqueuer WHERE status = 'failed';
             INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated)
             SELECT 1000 + n / 2, (ARRAY['queued', 'successful'])[1 + n % 2]::pgqueuer_status, 0, 'thumbnail', now() - (200 - n) * interval '100 ms', true
             FROM generate_series(0, 199) AS n;
             INSERT INTO pgqueuer_attempt (created, job_id, plugin, elapsed_us, memory_bytes, attempt, cpu_us, failed, host)
             SELECT now() - (100 - n) * interval '200 ms', 1000 + n, 1, 4200, 1200000, 1, 2000, false, '{WORKER}' FROM generate_series(0, 99) AS n;
             INSERT INTO pgqueuer_attempt (created, job_id, plugin, elapsed_us, memory_bytes, attempt, cpu_us, failed, host)
             SELECT updated - interval '1 s', id, 1, 31000, 1200000, 2, 2000, true, '{WORKER}' FROM pgqueuer WHERE status = 'failed';
             INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
             SELECT date_trunc('sec', now()) - m * interval '1 min', 300 + m * 7 % 120, 0, 'successful', 'thumbnail' FROM generate_series(1, 59) AS m;
             INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
             SELECT date_trunc('sec', updated), 1, 0, 'failed', entrypoint FROM pgqueuer WHERE status = 'failed';
             INSERT INTO pgqueuer_schedules (expression, entrypoint, next_run, last_run) VALUES
                ('0 3 * * *', 'report', now() + interval '7 hours 10 min', now() - interval '17 hours 10 min')"
        ))
        .await;
    database
}

async fn dashboard(database: &Database, size: (u16, u16)) -> Screen {
    let screen =
        Screen::open(&database.dsn(), &["dashboard", "--interval", "0.2", "--author", "anna"], &[], size).await;
    screen.wait_for("thumbnail").await;
    screen
}

/// The last row of the audit.
async fn audit(database: &Database) -> Value {
    database.cli_ok(&["audit", "--json"]).await.json()[0].clone()
}

#[tokio::test]
async fn each_view_shows_what_is_there_at_80x24_and_at_200x60() {
    let database = shop().await;
    for size in [SMALL, LARGE] {
        let mut screen = dashboard(&database, size).await;
        let wide = size == LARGE;
        screen.wait_for("[1 Overview]").await;
        for part in [
            "Due 3 (oldest ",
            "Running 1",
            "Held 4",
            "Ended/min",
            "order <n> is unknown",
            "worker-1:7: 1 plugin",
            "? help",
        ] {
            screen.wait_for(part).await;
        }
        let text = screen.wait_for("? help").await;
        // Those in trouble first, and the first one is chosen.
        let held = screen.line("invoice ");
        assert!(held.starts_with("> invoice") && held.contains('4') && held.contains("served"), "{held}");
        assert_eq!(text.contains("p50/p95"), wide, "a column gives way where there is no room:\n{text}");
        assert_eq!(
            screen.line("Failures, the newest").contains("Hosts"),
            wide,
            "beside each other where there is room"
        );
        for (key, parts) in [
            (
                "2",
                &[
                    "[2 Jobs]",
                    "10 jobs in the queue",
                    "running",
                    "deferred",
                    "due in 2 h",
                    "on worker-1:7",
                    "Retry: mail",
                ][..],
            ),
            (
                "3",
                &[
                    "[3 Failures]",
                    "2 causes, from the latest 4",
                    "Retry: order <n> is unknown",
                    "Began with shop 1.4.0 (abababab)",
                ],
            ),
            (
                "4",
                &[
                    "[4 Plugins]",
                    "2 versions of 1 plugin",
                    "served on 1",
                    "rolled back",
                    "serves invoice, report, thumbnail",
                ],
            ),
            ("5", &["[5 Hosts]", "worker-1:7", "1 plugin", "shop 1.4.0: invoice, report, thumbnail"]),
            ("6", &["[6 Schedules]", "0 3 * * *", "in 7 h", "17 h ago", "waits"]),
            ("?", &["the next page of jobs", "Nothing is changed before Enter confirms it"]),
        ] {
            screen.press(key).await;
            let text = screen.wait_until(parts[0], |text| parts.iter().all(|part| text.contains(part))).await;
            assert_eq!(text.lines().count(), usize::from(size.1), "{text}");
        }
        screen.press("q").await;
        screen
            .wait_until("the help is gone", |text| text.contains("[6 Schedules]") && text.contains("0 3 * * *"))
            .await;
        screen.press("\t").await;
        screen.wait_for("[1 Overview]").await;
        screen.press("q").await;
        assert_eq!(screen.ended().await, 0);
    }
}

#[tokio::test]
async fn jobs_are_filtered_in_the_language_of_the_verb_and_sorted_by_any_column() {
    let database = shop().await;
    let mut screen = dashboard(&database, SMALL).await;
    screen.press("2").await;
    screen.wait_for("10 jobs in the queue").await;
    screen.press("/--statsu failed\r").await;
    screen.wait_for("\"--statsu\" is no part of a filter; write --NAME VALUE").await;
    // Ctrl-U deletes the line.
    screen.press("\u{15}--status failed --error 'unknown' --header tenant=acme\r").await;
    let text = screen.wait_for("3 jobs: --status failed --error unknown --header tenant=acme").await;
    assert!(!text.contains("connection refused") && text.matches(" held ").count() == 3, "{text}");
    let ids = |text: &str| -> Vec<i64> {
        let rows = text.lines().filter(|line| line.contains(" held "));
        rows.map(|line| line.trim_start_matches('>').split_whitespace().next().unwrap().parse().unwrap()).collect()
    };
    let newest_first = ids(&text);
    assert!(newest_first.is_sorted_by(|one, other| one > other), "{newest_first:?}");
    screen.press("sS").await;
    let text = screen.wait_for("3 jobs, by Job \u{2191}: --status").await;
    assert_eq!(ids(&text), newest_first.iter().rev().copied().collect::<Vec<_>>());
    // Of one entrypoint, by way of the overview.
    screen.press("1").await;
    screen.wait_for("Ended/min").await;
    screen.press("G\r").await;
    screen.wait_for(": --entrypoint ").await;
    screen.press("\u{1b}").await;
    screen.wait_for("[1 Overview]").await;
    // A page of a long list, and the next one.
    database.enqueue_many("many", 120, "x").await;
    screen.press("2/").await;
    screen.wait_for("Filter: ").await;
    screen.press("\u{15}entrypoint=many\r").await;
    screen.wait_for("50 jobs, more behind >, by Job \u{2191}: --entrypoint many").await;
    screen.press(">").await;
    screen.wait_for("50 jobs (page 2), more behind >, by Job \u{2191}: --entrypoint many").await;
    screen.press(">").await;
    screen.wait_for("20 jobs (page 3), by Job \u{2191}: --entrypoint many").await;
    screen.press("<").await;
    screen.wait_for("50 jobs (page 2), more behind >, by Job \u{2191}: --entrypoint many").await;
}

#[tokio::test]
async fn from_a_cause_to_a_job_and_its_requeue_which_the_audit_has() {
    let database = shop().await;
    let mut screen = dashboard(&database, SMALL).await;
    screen.press("3").await;
    screen.wait_for("2 causes").await;
    // The one with the newest failure is first.
    screen.press("\r").await;
    screen.wait_for("3 jobs: --status failed --entrypoint invoice --cause ").await;
    screen.press("\r").await;
    let text = screen.wait_for("Run 2 failed").await;
    for part in [
        "of invoice: held",
        "Enqueued",
        "25 min ago",
        "took 31 ms",
        "shop 1.4.0",
        "on worker-1:7",
        "is unknown",
        "shop::invoice::send",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let id: i64 = text.split_once("Job ").unwrap().1.split_whitespace().next().unwrap().parse().unwrap();
    screen.press("G").await;
    let text = screen.wait_for("Log").await;
    assert!(text.contains("Payload: 13 B, JSON") || text.contains("{\"order\": "), "{text}");
    screen.press("r").await;
    screen.wait_for(&format!("Requeue job {id}?")).await;
    screen.press("\u{1b}").await;
    screen.wait_until("nothing is asked", |text| !text.contains("Requeue job")).await;
    assert_eq!(
        database.count(&format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND status = 'failed'")).await,
        1
    );
    screen.press("r").await;
    screen.wait_for(&format!("Requeue job {id}?")).await;
    screen.press("the order is there now\r").await;
    screen.wait_for("Put back into the queue: 1 job.").await;
    assert_eq!(
        database.count(&format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND status = 'queued'")).await,
        1
    );
    let noted = audit(&database).await;
    assert_eq!((&noted["action"], &noted["author"]), (&"requeue".into(), &"anna".into()), "{noted}");
    assert_eq!((&noted["reason"], &noted["jobs"]), (&"the order is there now".into(), &1.into()), "{noted}");
    screen.wait_for("of invoice: queued").await;
    screen.press("r").await;
    screen.wait_for(&format!("Requeue job {id}?")).await;
    screen.press("\r").await;
    screen.wait_for("0 jobs. 1 job left as they are: they are not held").await;
}

#[tokio::test]
async fn all_that_match_are_counted_before_they_are_cancelled_and_marked_ones_are_made_due() {
    let database = shop().await;
    let mut screen = dashboard(&database, SMALL).await;
    screen.press("2/status=failed\r").await;
    screen.wait_for("4 jobs: --status failed").await;
    screen.press("a").await;
    screen.wait_for("ALL that match are meant").await;
    screen.press("c").await;
    screen.wait_for("Cancel 4 jobs?").await;
    let text = screen.wait_for("All that match --status failed").await;
    assert!(text.contains("Jobs leave the queue"), "{text}");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await, 4);
    screen.press("spam\r").await;
    screen.wait_for("Canceled: 4 jobs.").await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await, 0);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'canceled'").await, 4);
    let noted = audit(&database).await;
    assert_eq!(
        (&noted["action"], &noted["jobs"], &noted["filter"]["status"]),
        (&"cancel".into(), &4.into(), &"failed".into()),
        "{noted}"
    );
    // Two of those that wait for their time.
    screen.press("/\u{15}entrypoint=report\r").await;
    screen.wait_for("2 jobs: --entrypoint report").await;
    screen.press("  ").await;
    screen.wait_for("2 marked").await;
    screen.press("n").await;
    screen.wait_for("Run now 2 jobs?").await;
    screen.press("\r").await;
    screen.wait_for("Made due: 2 jobs.").await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'report' AND execute_after <= now()").await,
        2
    );
    let noted = audit(&database).await;
    assert_eq!(
        (&noted["action"], &noted["jobs"], &noted["filter"]["count"]),
        (&"retry_now".into(), &2.into(), &2.into()),
        "{noted}"
    );
    // What cannot be is said, and nothing is done.
    screen.press("/\u{15}status=picked\r").await;
    screen.wait_for("1 job: --status picked").await;
    screen.press("ar").await;
    screen.wait_for("Nothing was done: status: jobs that are picked cannot be changed so").await;
}

#[tokio::test]
async fn a_pause_needs_a_reason_and_is_resumed_by_a_key() {
    let database = shop().await;
    let mut screen = dashboard(&database, SMALL).await;
    screen.press("p").await;
    screen.wait_for("Pause the entrypoint invoice?").await;
    screen.press("\r").await;
    screen.wait_for("Say why").await;
    // What is pasted is no key, and its line breaks confirm nothing.
    screen.press("\u{1b}[200~the mail server is down\rq\u{1b}[201~").await;
    screen.wait_for("the mail server is downq").await;
    screen.press("\u{7f}\r").await;
    screen.wait_for("Paused the entrypoint invoice until it is resumed. Told 1 host.").await;
    screen.wait_for("PAUSED: entrypoint invoice").await;
    let pauses = database.cli_ok(&["pauses", "--json"]).await.json();
    assert_eq!((&pauses[0]["name"], &pauses[0]["author"]), (&"invoice".into(), &"anna".into()), "{pauses}");
    assert_eq!(pauses[0]["reason"], "the mail server is down");
    let noted = audit(&database).await;
    assert_eq!((&noted["action"], &noted["reason"]), (&"pause".into(), &"the mail server is down".into()), "{noted}");
    screen.press("u").await;
    screen.wait_for("Resume the entrypoint invoice?").await;
    screen.press("\r").await;
    screen.wait_for("Resumed the entrypoint invoice.").await;
    screen.wait_until("no pause is told", |text| !text.contains("PAUSED")).await;
    assert_eq!(database.cli_ok(&["pauses", "--json"]).await.json(), serde_json::json!([]));
    assert_eq!(audit(&database).await["action"], "resume");
    // On the list, it would have ended the dashboard.
    screen.press("\u{1b}[200~q\r\u{1b}[201~").await;
    screen.press("P").await;
    screen.wait_for("Pause everything?").await;
}

#[tokio::test]
async fn a_running_job_is_cancelled_by_a_key_and_its_host_stops_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("nap", "3600000").await;
    let mut screen = Screen::open(&database.dsn(), &["dashboard", "-i", "0.2"], &[], SMALL).await;
    screen.wait_for("[1 Overview]").await;
    screen.press("2").await;
    screen.wait_for("running").await;
    screen.press("\r").await;
    screen.wait_for(&format!("Job {id} of nap: running")).await;
    screen.press("c").await;
    screen.wait_for(&format!("Cancel job {id}?")).await;
    screen.press("\r").await;
    screen.wait_for("Canceled: 1 job.").await;
    database.wait_for(id, "canceled").await;
    screen.wait_for("canceled (it has left the queue)").await;
    // Ended at once, or its sleep of an hour would hold it up.
    host.stop().await;
}

#[tokio::test]
async fn masked_fields_are_not_on_the_screen() {
    let database = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("pgq-host.toml");
    std::fs::write(&config, "[web]\nmask = [\"/order\"]\n").unwrap();
    let args = ["dashboard", "--config", config.to_str().unwrap()];
    let mut screen = Screen::open(&database.dsn(), &args, &[], LARGE).await;
    screen.wait_for("thumbnail").await;
    screen.press("2/status=failed\r").await;
    screen.wait_for("4 jobs: ").await;
    screen.press("\r").await;
    let text = screen.wait_for("Payload: ").await;
    assert!(text.contains("\"order\":\"(masked)\"") || text.contains("\"order\": \"(masked)\""), "{text}");
    assert!(!text.contains("{\"order\": 4"), "{text}");
}

#[tokio::test]
async fn the_screen_follows_the_size_of_its_terminal() {
    let database = shop().await;
    let mut screen = dashboard(&database, SMALL).await;
    screen.resize(LARGE.0, LARGE.1).await;
    let is_whole = |text: &str| text.contains("p50/p95") && text.lines().count() == 60;
    let text = screen.wait_until("the columns and lines that have room now", is_whole).await;
    assert!(screen.line("Failures, the newest").contains("Hosts"), "{text}");
    screen.resize(60, 12).await;
    screen.wait_until("fewer columns", |text| text.contains("invoice") && !text.contains("p50/p95")).await;
    screen.resize(30, 5).await;
    screen.wait_for("30x5 is too small.").await;
    screen.resize(80, 24).await;
    screen.wait_for("[1 Overview]").await;
    screen.press("q").await;
    assert_eq!(screen.ended().await, 0);
}

#[tokio::test]
async fn the_terminal_is_given_back_after_a_key_a_signal_and_a_panic() {
    let database = shop().await;
    let folder = tempfile::tempdir().unwrap();
    let panic_at = folder.path().join("panic").display().to_string();
    for end in ["q", "\u{3}", "INT", "TERM", "panic"] {
        let args = ["dashboard", "-i", "0.2"];
        let mut screen = Screen::open(
            &database.dsn(),
            &args,
            &[("PGQ_HOST_TEST_PANIC_AT", &panic_at), ("RUST_BACKTRACE", "0")],
            SMALL,
        )
        .await;
        screen.wait_for("thumbnail").await;
        assert!(screen.is_taken() && screen.is_cursor_hidden(), "{end}");
        assert_ne!(screen.modes_now().await, screen.modes("before").await, "keys come one by one");
        match end {
            "INT" => screen.signal(Signal::INT).await,
            "TERM" => screen.signal(Signal::TERM).await,
            "panic" => std::fs::write(&panic_at, "").unwrap(),
            key => screen.press(key).await,
        }
        assert_eq!(screen.ended().await, if end == "panic" { 101 } else { 0 }, "{end}");
        assert_eq!(screen.modes("after").await, screen.modes("before").await, "{end}");
        assert!(!screen.is_taken() && !screen.is_cursor_hidden(), "{end}");
        let text = screen.text();
        assert!(!text.contains("[1 Overview]"), "{end}: {text}");
        assert_eq!(text.contains("as the test wants it"), end == "panic", "what a panic says can be read: {text}");
    }
}

#[tokio::test]
async fn the_shell_has_its_terminal_while_the_dashboard_is_stopped_and_gives_it_back() {
    let database = shop().await;
    let mut screen = dashboard(&database, SMALL).await;
    for by_signal in [false, true] {
        if by_signal {
            screen.signal(Signal::TSTP).await;
        } else {
            screen.press("\u{1a}").await;
        }
        let text = screen.wait_for("THE SHELL IS BACK").await;
        assert!(!screen.is_taken() && !screen.is_cursor_hidden() && !text.contains("[1 Overview]"), "{text}");
        assert_eq!(screen.modes("stopped").await, screen.modes("before").await);
        screen.press("\n").await;
        screen.wait_for("[1 Overview]").await;
        screen.wait_for("thumbnail").await;
        assert!(screen.is_taken());
        // It is alive.
        screen.press("2").await;
        screen.wait_for("jobs in the queue").await;
        screen.press("1").await;
        screen.wait_for("Ended/min").await;
    }
    screen.press("q").await;
    assert_eq!(screen.ended().await, 0);
    assert_eq!(screen.modes("after").await, screen.modes("before").await);
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_said_with_the_age_of_what_is_shown_and_keys_go_on() {
    let database = shop().await;
    let proxy = Proxy::before(&database.dsn()).await;
    let mut screen = Screen::open(&proxy.dsn(), &["dashboard", "-i", "0.2"], &[], SMALL).await;
    screen.wait_for("thumbnail").await;
    proxy.fall_silent();
    screen.wait_for("WAITING for the database for ").await;
    // The keys are obeyed while nobody answers: what is known is shown, and help is there.
    screen.press("?").await;
    screen.wait_for("the views").await;
    screen.press("\u{1b}").await;
    let text = screen.wait_for("NO ANSWER, what is shown is ").await;
    assert!(text.contains("thumbnail"), "what was known stays:\n{text}");
    screen.press("2").await;
    screen.wait_for("nothing is known yet").await;
    screen.press("1").await;
    screen.wait_for("thumbnail").await;
    proxy.recover();
    proxy.cut();
    screen.wait_until("it answers again", |text| !text.contains("NO ANSWER") && !text.contains("WAITING")).await;
    screen.press("q").await;
    assert_eq!(screen.ended().await, 0);
    // Whoever starts it learns at once that there is no database.
    let screen = Screen::open("postgresql://u@127.0.0.1:1/d", &["dashboard"], &[], SMALL).await;
    assert_eq!(screen.ended().await, 1);
    assert!(screen.text().contains("cannot connect"), "{}", screen.text());
}

#[tokio::test]
async fn nothing_of_a_payload_an_error_or_a_name_drives_the_terminal() {
    let database = Database::new().await;
    let hostile = "e\u{1b}]0;pwned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\r\nnew";
    let job = "INSERT INTO pgqueuer (priority, entrypoint, status, payload, headers, dedupe_key, attempts)
               VALUES (0, $1, 'failed', convert_to($1, 'UTF8'), jsonb_build_object($1, $1), $1, 1) RETURNING id::bigint";
    let id: i64 = sqlx::query_scalar(job).bind(hostile).fetch_one(database.pool()).await.unwrap();
    let log = "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, traceback)
               VALUES ($2, 'failed', 0, $1, jsonb_build_object('exception_type', $1, 'exception_message', $1, 'traceback', $1))";
    sqlx::query(log).bind(hostile).bind(id).execute(database.pool()).await.unwrap();
    let host = "INSERT INTO pgqueuer_host (id, name, pid, version, plugins) VALUES (gen_random_uuid(), $1, 1, $1,
                jsonb_build_array(jsonb_build_object('file', $1, 'plugin', $1, 'version', $1, 'sha256', $1, 'error', $1, 'entrypoints', jsonb_build_array($1))))";
    sqlx::query(host).bind(hostile).execute(database.pool()).await.unwrap();
    sqlx::query("INSERT INTO pgqueuer_schedules (expression, entrypoint) VALUES ($1, $1)")
        .bind(hostile)
        .execute(database.pool())
        .await
        .unwrap();
    sqlx::query("INSERT INTO pgqueuer_pause (subject, kind, name, reason, author, role) VALUES ('x', 'entrypoint', $1, $1, $1, $1)")
        .bind(hostile)
        .execute(database.pool())
        .await
        .unwrap();
    let mut screen = Screen::open(&database.dsn(), &["dashboard", "-i", "0.2"], &[], LARGE).await;
    let shown = "e\\x1b]0;pwned\\x07";
    for (key, there) in [
        ("1", "Ended/min"),
        ("2", "1 job "),
        ("3", "1 cause"),
        ("4", "2 versions"),
        ("5", "1 host"),
        ("6", "1 schedule"),
    ] {
        screen.press(key).await;
        screen.wait_until(there, |text| text.contains(there) && text.contains(shown)).await;
    }
    screen.press("2").await;
    screen.wait_for("1 job ").await;
    screen.press("\r").await;
    screen.wait_for(&format!("Job {id} of {shown}")).await;
    screen.press("c").await;
    screen.wait_for("Cancel job").await;
    screen.press("\u{1b}").await;
    screen.wait_until("nothing is asked", |text| !text.contains("Cancel job")).await;
    screen.press("1").await;
    screen.wait_for("PAUSED: ").await;
    screen.press("p").await;
    screen.wait_for("Pause the entrypoint e\\x1b").await;
    screen.press("\u{1b}").await;
    screen.wait_until("nothing is asked", |text| !text.contains("Pause the entrypoint")).await;
    screen.press("q").await;
    assert_eq!(screen.ended().await, 0);
    let written = String::from_utf8_lossy(&screen.written()).into_owned();
    for evil in ["\u{1b}]", "\u{7}", "\u{1b}[2Jpwned", "\u{9b}", "\u{202e}"] {
        assert!(!written.contains(evil), "{evil:?} reached the terminal");
    }
    let printed = database.cli_ok(&["dashboard"]).await.stdout;
    assert!(printed.contains(shown) && !printed.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}', '\r']), "{printed}");
}

#[tokio::test]
async fn it_is_read_without_colours_where_none_are_wanted() {
    let database = shop().await;
    for (variables, colored) in [(&[][..], true), (&[("NO_COLOR", "1")], false), (&[("NO_COLOR", "")], true)] {
        let mut screen = Screen::open(&database.dsn(), &["dashboard"], variables, SMALL).await;
        screen.wait_for("thumbnail").await;
        assert_eq!(screen.has_colors(), colored, "{variables:?}");
        // The view, the chosen row and the state of things are words and marks.
        assert!(
            screen.text().contains("[1 Overview]")
                && screen.text().contains("> invoice")
                && screen.text().contains("served")
        );
        screen.press("q").await;
        assert_eq!(screen.ended().await, 0);
    }
}

#[tokio::test]
async fn without_a_screen_it_is_printed_once_as_text_or_json_or_again_and_again() {
    let database = shop().await;
    let text = database.cli_ok(&["dashboard"]).await.stdout;
    for part in [
        "Due            3 (oldest ",
        "Entrypoint",
        "p50/p95",
        "invoice",
        "order <n> is unknown",
        "worker-1:7: 1 plugin",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    assert!(!text.contains('\u{1b}') && !text.contains("and 2 more"), "{text}");
    assert!(database.cli_ok(&["dashboard", "-n", "1"]).await.stdout.contains("and 2 more"));
    let look = database.cli_ok(&["dashboard", "--once", "--json"]).await.json();
    let names: Vec<&str> = look["overview"]["entrypoints"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["entrypoint"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["invoice", "report", "thumbnail"]);
    assert_eq!(
        (&look["fleet"]["hosts"][0]["name"], &look["failures"]["groups"][0]["held"]),
        (&"worker-1".into(), &3.into())
    );
    // What is wrong around the queue stands first, in the words of the other verbs.
    database.execute("UPDATE pgqueuer_host SET seen = now() - interval '10 min'").await;
    let silent = "! host worker-1:7 is silent for 10 min: it should have announced itself twice since";
    for verb in [&["dashboard"][..], &["overview"]] {
        let text = database.cli_ok(verb).await.stdout;
        assert!(text.contains(silent), "{verb:?} does not say it:\n{text}");
    }
    let screen = Screen::open(&database.dsn(), &["dashboard"], &[], SMALL).await;
    screen.wait_for("! host worker-1:7 is silent").await;
    drop(screen);
    // At a terminal, too.
    let mut screen = Screen::open(&database.dsn(), &["dashboard", "--once"], &[], LARGE).await;
    assert_eq!(screen.ended().await, 0);
    assert!(screen.text().contains("order <n> is unknown"), "{}", screen.text());
    screen = Screen::open(&database.dsn(), &["dashboard"], &[("TERM", "dumb")], LARGE).await;
    assert_eq!(screen.ended().await, 0, "a terminal that can do no more gets lines");
    // As PgQueuer's: again after an interval, for whoever reads.
    let mut command = pgq_host_tests::pgq_host(&database.dsn());
    command.args(["dashboard", "-i", "0.1"]).stdout(std::process::Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(child.stdout.take().unwrap()));
    let mut looks = 0;
    while looks < 3 {
        looks += usize::from(lines.next_line().await.unwrap().expect("it goes on").starts_with("At 2"));
    }
    drop(lines);
    let ended = tokio::time::timeout(pgq_host_tests::PATIENCE, child.wait()).await.expect("nobody reads").unwrap();
    assert!(ended.success(), "{ended}");
    for (args, named) in
        [(&["-i", "0"][..], "a tenth of a second"), (&["-i", "soon"], "soon"), (&["--once", "-i", "1"], "--once")]
    {
        let said = database.run_cli(&[&["dashboard"], args].concat()).await;
        assert!(said.code == 2 && said.stderr.contains(named), "{args:?}: {said:?}");
    }
}
