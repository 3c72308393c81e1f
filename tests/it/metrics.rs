//! What Prometheus receives.

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually};

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
            r#"pgq_host_runs_total{plugin="hostile",entrypoint="echo",outcome="ok"} 5"#,
            r#"pgq_host_runs_total{plugin="hostile",entrypoint="reject",outcome="failed"} 1"#,
            r#"pgq_host_runs_total{plugin="hostile",entrypoint="hog",outcome="crashed"} 3"#,
            r#"pgq_host_limit_hits_total{plugin="hostile",entrypoint="hog",limit="memory"} 3"#,
            r#"pgq_host_run_seconds_count{entrypoint="echo"} 5"#,
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
