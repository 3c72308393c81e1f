//! What pages that stay open cost, and what they say when the database does not.

use std::time::{Duration, Instant};

use pgq_engine::descriptors;
use pgq_host_tests::{Answer, Ask, Database, Host, Pages, Plugins, Proxy, eventually};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::web::{Web, operator};

const TABS: usize = 1_000;
/// Ticks that each tab waits for: two seconds apart.
const TICKS: usize = 6;

/// Until so many ticks came over each.
async fn until_ticks(tabs: &mut [TcpStream], ticks: usize) {
    // One after the other: what came over the others meanwhile waits in their sockets.
    for tab in tabs {
        let (mut seen, mut buffer) = (String::new(), [0; 4_096]);
        while seen.matches("event: tick").count() < ticks {
            let bytes = tab.read(&mut buffer).await.expect("the stream goes on");
            assert!(bytes > 0, "the stream ended after {seen}");
            seen.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
        }
    }
}

/// Open the tabs at an address, and tell what they cost its process and the database.
async fn measure(what: &str, database: &Database, address: &str, host: &Host, token: Option<&str>) {
    let commits = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()";
    let sessions =
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND backend_type = 'client backend'";
    let before = host.resident_bytes();
    let mut tabs = Vec::with_capacity(TABS);
    for _ in 0..TABS {
        let ask = Ask::new(address, "GET /live");
        let ask = match token {
            Some(token) => ask.bearer(token),
            None => ask,
        };
        tabs.push(ask.sent().await.expect("a connection"));
    }
    until_ticks(&mut tabs, 1).await;
    let (began, first, cpu) = (Instant::now(), database.count(commits).await, host.cpu_seconds());
    until_ticks(&mut tabs, TICKS).await;
    let seconds = began.elapsed().as_secs_f64();
    let queries = (database.count(commits).await - first) as f64 / seconds;
    let grown = host.resident_bytes().saturating_sub(before) >> 20;
    let (open, busy) = (database.count(sessions).await, (host.cpu_seconds() - cpu) / seconds);
    eprintln!(
        "{what}: {TABS} tabs: {grown} MiB more, {open} sessions of the database in all, {queries:.1} transactions a second, {:.0} % of a core",
        busy * 100.0
    );
    // A page that is read beside them is answered.
    let ask = Ask::new(address, "GET /jobs");
    let page = match token {
        Some(token) => ask.bearer(token).answer().await,
        None => ask.answer().await,
    };
    assert_eq!(page.status, 200, "{page:?}");
    assert!(grown < 200, "{grown} MiB");
    assert!(queries < 20.0, "{queries} transactions a second: each tab asks by itself");
    assert!(open < 30, "{open} sessions");
    drop(tabs);
    eventually("the places are free", async || {
        let ask = Ask::new(address, "GET /jobs");
        let ask = if let Some(token) = token { ask.bearer(token) } else { ask };
        ask.answer().await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_thousand_tabs_are_one_reader_to_the_database() {
    descriptors::raise();
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    let web = Web::guarded(&database.dsn(), &[]).await;
    measure("web", &database, &web.address, &web.host, Some(operator())).await;
    let address = Pages::anywhere().address();
    let host = Host::start(&database, &plugins, &["--listen", &address]).await;
    measure("run --listen", &database, &address, &host, None).await;
    host.stop().await;
}

/// Longer than any page takes: what is read for all within 6 s, a page by itself within 8 s, and the frame around it.
const BOUND: Duration = Duration::from_secs(30);

#[tokio::test]
async fn a_silent_database_keeps_no_page_waiting_for_long_and_each_says_so() {
    let database = Database::new().await;
    let id = database.enqueue("work", "x").await;
    let proxy = Proxy::before(&database.dsn()).await;
    let web = Web::guarded(&proxy.dsn(), &[]).await;
    let begin = |path: &str| {
        let (ask, path) =
            (web.ask(&format!("GET {path}")).bearer(operator()).header("Accept", "text/html"), path.to_owned());
        async move {
            let began = Instant::now();
            let answer = ask.answer().await;
            assert!(began.elapsed() < BOUND, "{path} took {:?}", began.elapsed());
            (path, answer)
        }
    };
    let ask = async |path: &str| begin(path).await.1;
    assert_eq!(ask("/").await.status, 200);
    proxy.fall_silent();
    let job = format!("/jobs/{id}");
    let pages = ["/", "/jobs", &job, "/failures", "/plugins", "/hosts", "/schedules", "/audit", "/pauses"];
    // All at once, as people would look: nobody waits for the others.
    let all: JoinSet<_> = pages.iter().flat_map(|page| [*page; 3]).map(begin).collect();
    for (page, answer) in all.join_all().await {
        // What was known is shown; what was not is an error.
        assert!(matches!(answer.status, 200 | 503), "{page}: {}", answer.status);
    }
    for page in pages {
        let is_told = async || {
            let Answer { body, .. } = ask(page).await;
            body.contains("does not answer") || body.contains("did not answer")
        };
        eventually(&format!("{page} says so"), is_told).await;
    }
    for path in [
        "overview",
        "failures",
        "hosts",
        "plugins",
        "troubles",
        "schedules",
        "pauses",
        "audit",
        "jobs",
        "jobs/1",
        "lines",
    ] {
        let answer = ask(&format!("/api/v1/{path}")).await;
        assert!(answer.status == 503 && answer.body.contains("\"detail\""), "{path}: {answer:?}");
    }
    let began = Instant::now();
    let body = serde_json::json!({ "kind": "all", "name": "", "reason": "a test" });
    let change = web.ask("POST /api/v1/pauses").bearer(operator()).json(&body).answer().await;
    assert!(change.status == 503 && began.elapsed() < 2 * BOUND, "{change:?} after {:?}", began.elapsed());
    proxy.recover();
    proxy.cut();
    eventually("the pages are back", async || ask("/jobs").await.status == 200).await;
}

#[tokio::test]
async fn the_file_of_tokens_is_read_again_when_it_changes() {
    let database = Database::new().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    let (old, new) = ("an-old-token-0123456789", "a-new-token-01234567890");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    write(&format!("bot operator {old}\n"));
    let web = Web::start(&database.dsn(), &["--token-file", file.to_str().unwrap()]).await;
    let status = async |token: &str| web.ask("GET /api/v1/me").bearer(token).answer().await.status;
    assert_eq!((status(old).await, status(new).await), (200, 401));
    // Somebody typed the token in, and keeps a page open.
    let login = web.ask("POST /login").form(&format!("name=&password={old}&next=/")).answer().await;
    let cookie = login.header("set-cookie").split(';').next().unwrap().to_owned();
    let page = async || web.ask("GET /api/v1/me").header("Cookie", &cookie).answer().await.status;
    assert_eq!((login.status, page().await), (303, 200));

    write(&format!("bot operator {old}\nci viewer {new}\n"));
    eventually("the new token is known", async || status(new).await == 200).await;
    assert_eq!(page().await, 200, "who is logged in stays so");
    write("ci king nonsense\n");
    // Whoever asks finds it out.
    let is_told = async || status(old).await == 200 && web.host.log().contains("the tokens cannot be read again");
    eventually("it says so", is_told).await;
    assert_eq!((status(old).await, status(new).await), (200, 200), "a mistake locks nobody out");
    write(&format!("ci viewer {new}\n"));
    eventually("the old token is not known any more", async || status(old).await == 401).await;
    assert_eq!((page().await, status(new).await), (401, 200), "and its session is over");
    write("# nobody\n");
    eventually("nobody is known", async || status(new).await == 401).await;
    let without = web.ask("GET /api/v1/me").answer().await.status;
    assert_eq!(without, 401, "an empty file opens nothing to everybody");
}
