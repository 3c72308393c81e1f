//! What Prometheus receives.

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually, python};

/// Wait until the page has these lines.
async fn wait_for(pages: &Pages, wanted: &[&str]) -> String {
    let mut missing = String::new();
    let mut page = String::new();
    // So that a failure shows what is missing: `eventually` only prints a fixed text.
    let found = tokio::time::timeout(pgq_host_tests::PATIENCE / 2, async {
        eventually("all is counted", async || {
            page = pages.get("/metrics").1;
            missing = wanted.iter().filter(|line| !page.contains(**line)).map(|line| format!("{line}\n")).collect();
            missing.is_empty()
        })
        .await;
    })
    .await;
    assert!(found.is_ok(), "missing:\n{missing}in\n{page}");
    page
}

#[tokio::test]
async fn runs_limits_and_reloads_are_counted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    plugins.write("pgq-host.toml", "[circuit-breaker]\nwindow = 3\ncrashes = 3\npause = \"1h\"\n");
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address(), "--max-concurrent-tasks", "7"]).await;
    database.enqueue_many("echo", 5, "x").await;
    database.enqueue_many("hog", 3, "").await;
    database.enqueue("reject", "no").await;
    plugins.write("broken.wasm", b"nothing");
    let page = wait_for(
        &pages,
        &[
            r#"pgq_host_runs_total{plugin="hostile",entrypoint="echo",outcome="ok",version="1.2.3",role="stable"} 5"#,
            r#"pgq_host_runs_total{plugin="hostile",entrypoint="reject",outcome="failed",version="1.2.3",role="stable"} 1"#,
            r#"pgq_host_runs_total{plugin="hostile",entrypoint="hog",outcome="crashed",version="1.2.3",role="stable"} 3"#,
            r#"pgq_host_limit_hits_total{plugin="hostile",entrypoint="hog",limit="memory"} 3"#,
            r#"pgq_host_run_seconds_count{plugin="hostile",entrypoint="echo",version="1.2.3",role="stable"} 5"#,
            r#"pgq_host_pickup_seconds_bucket{entrypoint="echo",le="3600"} 5"#,
            r#"pgq_host_batch_jobs_count{entrypoint="echo"} 5"#,
            "pgq_host_claim_jobs_sum 9",
            "pgq_host_record_jobs_sum 9",
            r#"pgq_host_statement_seconds_count{statement="record"}"#,
            r#"pgq_host_reloads_total{plugin="hostile"} 1"#,
            r#"pgq_host_plugin_refused{file="broken.wasm"} 1"#,
            r#"pgq_host_plugin_refused{file="hostile.wasm"} 0"#,
            r#"pgq_host_entrypoint_paused{entrypoint="hog"} 1"#,
            r#"pgq_host_entrypoint_paused{entrypoint="echo"} 0"#,
            r#"pgq_host_plugin_info{plugin="hostile",version="#,
            "pgq_host_jobs_in_flight 0",
            "pgq_host_places 7",
            "pgq_host_listener_up 1",
            r#"pgq_host_queue_jobs{entrypoint="reject",state="held"} 1"#,
            "# HELP pgq_host_queue_oldest_seconds",
            "# HELP pgq_host_runs_total Runs that ended",
            "# TYPE pgq_host_run_seconds histogram",
            "# TYPE pgq_host_queue_jobs gauge",
        ],
    )
    .await;
    // Every series has a type, and every family one help text, as parsers of the format require.
    let mut families = std::collections::HashSet::new();
    for line in page.lines().filter(|line| line.starts_with("# HELP ")) {
        assert!(families.insert(line.split(' ').nth(2).unwrap()), "twice: {line}");
    }
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let family = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end)).unwrap_or(name);
        assert!(families.contains(family) || families.contains(name), "no help: {line}");
    }
    // A removed file disappears from the page.
    plugins.remove("broken.wasm");
    eventually("it is gone", async || !pages.get("/metrics").1.contains("broken.wasm")).await;
    let log = host.stop().await;
    assert!(log.contains("stopped instances=0"), "{log}");
    // An address in use is reported at once.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut host = Host::spawn(&database, &plugins, &["--listen", &address]);
    assert!(!host.ended().await.success());
    assert!(host.log().contains(&address), "{}", host.log());
}

#[tokio::test]
async fn one_host_at_a_time_reports_the_depth_of_the_queue() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // Nobody serves it, so it stays in the queue.
    database.enqueue_many("elsewhere", 3, "x").await;
    let (first, second) = (Pages::anywhere(), Pages::anywhere());
    let senior = Host::start(&database, &plugins, &["--listen", &first.address()]).await;
    let due = r#"pgq_host_queue_jobs{entrypoint="elsewhere",state="due"} 3"#;
    wait_for(&first, &[due]).await;
    let junior = Host::start(&database, &plugins, &["--listen", &second.address()]).await;
    eventually("both are announced", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 2).await;
    // The page is there before the worker is, and its gauges are not.
    let page = wait_for(&second, &["pgq_host_places"]).await;
    assert!(!page.contains("pgq_host_queue_jobs"), "{page}");
    wait_for(&first, &[due]).await;
    senior.stop().await;
    wait_for(&second, &[due]).await;
    junior.stop().await;
}

/// The value of a series, by its whole name.
fn value(page: &str, series: &str) -> f64 {
    let line = page.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("no {series} in\n{page}")).parse().expect("a number")
}

#[tokio::test]
async fn counters_are_there_before_the_first_event_and_the_catalog_is_what_is_served() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address(), "--max-concurrent-tasks", "7"]).await;
    let page = wait_for(&pages, &["pgq_host_hosts"]).await;
    for (labels, outcome) in [("ok", 0.0), ("failed", 0.0), ("crashed", 0.0), ("released", 0.0)] {
        let series = format!(
            r#"pgq_host_runs_total{{plugin="hostile",entrypoint="echo",outcome="{labels}",version="1.2.3",role="stable"}}"#
        );
        assert_eq!(value(&page, &series), outcome);
    }
    for series in [
        r#"pgq_host_limit_hits_total{plugin="hostile",entrypoint="hog",limit="memory"}"#,
        r#"pgq_host_denied_total{plugin="hostile",what="http"}"#,
        r#"pgq_host_database_errors_total{statement="claim"}"#,
        r#"pgq_host_leases_lost_total{noticed="record"}"#,
        r#"pgq_host_pruned_rows_total{table="log"}"#,
        r#"pgq_host_hosts{state="died"}"#,
        "pgq_host_schedules_moved_back_total",
        "pgq_host_claimed_bytes",
    ] {
        assert_eq!(value(&page, series), 0.0, "{series}");
    }
    assert_eq!(value(&page, r#"pgq_host_hosts{state="alive"}"#), 1.0);
    for above in [
        "pgq_host_claimed_bytes_limit",
        r#"pgq_host_sessions{state="open"}"#,
        r#"pgq_host_sessions{state="limit"}"#,
        "pgq_host_database_round_trip_seconds",
        "process_resident_memory_bytes",
        "process_open_fds",
        "process_threads",
    ] {
        assert!(value(&page, above) > 0.0, "{above}");
    }
    // Everything on the page is declared, with its kind and its labels.
    let added = ["le"];
    for line in page.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let name = line.split(['{', ' ']).next().unwrap();
        let known = |name: &str| pgq_host::telemetry::CATALOG.iter().find(|metric| metric.name == name);
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| known(name.strip_suffix(end)?));
        let metric = known(name).or(base).unwrap_or_else(|| panic!("not in the catalog: {line}"));
        let inside = line.split_once('{').and_then(|(_, rest)| rest.rsplit_once('}')).map_or("", |(inside, _)| inside);
        let labels: Vec<&str> =
            inside.split("\",").filter_map(|pair| pair.split_once('=')).map(|(label, _)| label).collect();
        let has = |label: &&str| metric.labels.contains(label) || added.contains(label);
        assert!(labels.iter().all(has), "{line}: {:?}", metric.labels);
        assert!(metric.labels.iter().all(|label| labels.contains(label)), "{line}: {:?}", metric.labels);
        let kind = format!("# TYPE {} {}", metric.name, metric.kind.label());
        assert!(page.contains(&kind), "{kind}");
    }
    host.stop().await;
}

#[tokio::test]
async fn ten_thousand_entrypoints_have_a_bounded_number_of_series() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    database
        .execute(
            "INSERT INTO pgqueuer (priority, status, entrypoint) SELECT 0, 'queued', 'e' || n FROM generate_series(1, 10000) AS n;
             INSERT INTO pgqueuer (priority, status, entrypoint, updated) SELECT 0, 'failed', 'e5', now() - interval '2 h';
             INSERT INTO pgqueuer_statistics (created, count, priority, status, entrypoint)
             SELECT now(), 1, 0, 'successful', 'e' || n FROM generate_series(1, 10000) AS n",
        )
        .await;
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    let page = wait_for(&pages, &[r#"pgqueuer_logs_count{"#]).await;
    let series = |name: &str| page.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
    let sum = |name: &str, part: &str| -> f64 {
        let lines = page.lines().filter(|line| line.starts_with(&format!("{name}{{")) && line.contains(part));
        lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
    };
    assert_eq!(series("pgq_host_queue_jobs"), 201 * 4);
    assert_eq!(series("pgq_host_queue_oldest_seconds"), 201);
    assert_eq!(sum("pgq_host_queue_jobs", r#"state="due""#), 10_000.0, "nothing is left uncounted");
    assert!(sum("pgq_host_queue_jobs", r#"entrypoint="other",state="due""#) > 9_000.0);
    assert_eq!(sum("pgqueuer_logs_count", ""), 10_000.0);
    assert_eq!(series("pgqueuer_logs_count"), 201);
    let held = value(&page, r#"pgq_host_queue_oldest_held_seconds{entrypoint="e5"}"#);
    assert!((7_200.0..7_400.0).contains(&held), "{held}");
    host.stop().await;
}

#[tokio::test]
async fn pgqueuers_names_say_what_pgqueuers_own_exporter_says() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    for id in database.enqueue_many("echo", 4, "x").await {
        database.wait_for(id, "successful").await;
    }
    let held = database.enqueue("reject", "no").await;
    database.wait_for(held, "failed").await;
    database.enqueue_many("elsewhere", 3, "").await;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/metrics.py");
    let mut last = (Vec::new(), Vec::new());
    eventually("both say the same", async || {
        let mut command = tokio::process::Command::new(python());
        let said = command.arg(script).env("PGDSN", database.dsn()).output().await.expect("Python starts");
        assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        let mut theirs: Vec<String> = serde_json::from_slice(&said.stdout).expect("lines");
        let page = pages.get("/metrics").1;
        let mut ours: Vec<String> =
            page.lines().filter(|line| line.starts_with("pgqueuer_")).map(str::to_owned).collect();
        theirs.sort();
        ours.sort();
        // The statistics of what has ended are not there until they are counted.
        let counted = [r#"entrypoint="reject",status="failed"} 1"#, r#"entrypoint="echo",status="successful"} 4"#];
        let all = counted.iter().all(|wanted| theirs.iter().any(|line| line.contains(wanted)));
        let same = ours == theirs && all;
        last = (ours, theirs);
        same
    })
    .await;
    assert!(
        last.0
            .iter()
            .any(|line| line == r#"pgqueuer_queue_count{aggregation="sum",entrypoint="elsewhere",status="queued"} 3"#),
        "{last:?}"
    );
    assert!(
        last.0
            .iter()
            .any(|line| line == r#"pgqueuer_logs_count{aggregation="sum",entrypoint="echo",status="successful"} 4"#),
        "{last:?}"
    );
    host.stop().await;
}
