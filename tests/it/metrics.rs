//! What Prometheus is told.

use std::io::{Read as _, Write as _};

use pgq_host_tests::{Database, Host, Plugins, eventually};

/// The page, as a scraper gets it.
pub(crate) fn scrape(port: u16) -> String {
    let mut page = String::new();
    let Ok(mut stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else { return page };
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[tokio::test]
async fn runs_limits_and_reloads_are_counted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    plugins.write("pgq-host.toml", "[circuit-breaker]\nwindow = 3\ncrashes = 3\npause = \"1h\"\n");
    let args = ["--listen", &format!("127.0.0.1:{port}")];
    let host = Host::start(&database, &plugins, &args).await;
    database.enqueue_many("echo", 5, "x").await;
    database.enqueue_many("hog", 3, "").await;
    database.enqueue("reject", "no").await;
    plugins.write("broken.wasm", b"nothing");
    let wanted = [
        r#"pgq_host_runs_total{plugin="hostile",entrypoint="echo",outcome="ok"} 5"#,
        r#"pgq_host_runs_total{plugin="hostile",entrypoint="reject",outcome="failed"} 1"#,
        r#"pgq_host_runs_total{plugin="hostile",entrypoint="hog",outcome="crashed"} 3"#,
        r#"pgq_host_limit_hits_total{plugin="hostile",entrypoint="hog",limit="memory"} 3"#,
        r#"pgq_host_run_seconds_count{entrypoint="echo"} 5"#,
        r#"pgq_host_reloads_total{plugin="hostile"} 1"#,
        r#"pgq_host_plugin_refused{file="broken.wasm"} 1"#,
        r#"pgq_host_entrypoint_paused{entrypoint="hog"} 1"#,
        "# HELP pgq_host_runs_total Runs that ended",
        "# TYPE pgq_host_run_seconds histogram",
    ];
    let mut page = String::new();
    eventually("all is counted", async || {
        page = scrape(port);
        let missing: Vec<_> = wanted.iter().filter(|line| !page.contains(**line)).collect();
        if !missing.is_empty() {
            page = format!("missing {missing:#?} in {page}");
        }
        missing.is_empty()
    })
    .await;
    let log = host.stop().await;
    assert!(log.contains("stopped instances=0"), "{log}");
    // An address that is taken is said at once.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let mut host = Host::spawn(&database, &plugins, &["--listen", &address]);
    assert!(!host.ended().await.success());
    assert!(host.log().contains(&address), "{}", host.log());
}
