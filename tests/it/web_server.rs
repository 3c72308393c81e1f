//! What the pages' server does with those who are many, slow, or too long, and without its database.

use pgq_engine::descriptors;
use pgq_host_tests::{Ask, Database, Host, Pages, Plugins, Proxy, eventually};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::web::{Web, operator};

/// Whether a probe is answered.
async fn is_well(address: &str) -> bool {
    Ask::new(address, "GET /healthz").answer().await.status == 200
}

#[tokio::test]
async fn a_thousand_visitors_and_as_many_that_send_nothing_keep_no_probe_waiting() {
    descriptors::raise();
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let address = Pages::anywhere().address();
    let host = Host::start(&database, &plugins, &["--listen", &address]).await;
    let mut open = Vec::new();
    for number in 0..1_200 {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        // Some have a page and keep their connection, some never end their request, some send nothing.
        let text = match number % 3 {
            0 => "GET /login HTTP/1.1\r\nHost: localhost\r\n\r\n",
            1 => "GET /login HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
            _ => "",
        };
        // It may have been sent away already.
        let _ = stream.write_all(text.as_bytes()).await;
        open.push(stream);
    }
    assert!(is_well(&address).await);
    assert_eq!(Ask::new(&address, "GET /jobs").answer().await.status, 200);
    // Streams are answered for as long as they are open.
    let mut streams = Vec::new();
    for _ in 0..1_100 {
        streams.push(Ask::new(&address, "GET /live").sent().await.unwrap());
    }
    assert!(is_well(&address).await);
    assert_eq!(Ask::new(&address, "GET /metrics").answer().await.status, 200);
    // Nobody reads any of them. Whoever does read hears the news, and nothing piles up for the others.
    let before = host.resident_bytes();
    let (mut heard, mut buffer) = (String::new(), [0; 4_096]);
    let mut reader = Ask::new(&address, "GET /live").sent().await.unwrap();
    while heard.matches("event: tick").count() < 3 {
        let bytes = reader.read(&mut buffer).await.unwrap();
        assert!(bytes > 0, "the stream ended after {heard}");
        heard.push_str(&String::from_utf8_lossy(&buffer[..bytes]));
    }
    let grown = host.resident_bytes().saturating_sub(before) >> 20;
    assert!(grown < 64, "{grown} MiB more for readers that do not read");
    drop((open, streams));
    eventually("the pages are there again", async || Ask::new(&address, "GET /jobs").answer().await.status == 200)
        .await;
    host.stop().await;
}

#[tokio::test]
async fn whoever_does_not_read_is_sent_away() {
    let database = Database::new().await;
    let id = database.enqueue("work", vec![b'x'; 10 << 20]).await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let page = web.ask(&format!("GET /jobs/{id}")).bearer(operator()).answer().await;
    assert!(page.status == 200 && page.body.len() < 1 << 20, "a large payload is shown in part: {}", page.body.len());
    let whole = web.ask(&format!("GET /jobs/{id}/payload")).bearer(operator());
    assert_eq!(whole.answer().await.body.len(), 10 << 20);
    let mut slow = Vec::new();
    for _ in 0..4 {
        slow.push(whole.sent().await.unwrap());
    }
    assert!(is_well(&web.address).await);
    let port = web.address.rsplit(':').next().unwrap().parse().unwrap();
    for mut stream in slow {
        let from = stream.local_addr().unwrap().port();
        eventually("the server gives up", async || !is_established(&web, port, from)).await;
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.len() < 10 << 20, "it got all of it");
    }
}

/// Whatever ten megabytes are, they are shown in part, by every way to look at them.
#[tokio::test]
async fn a_payload_of_ten_megabytes_is_shown_in_part_whatever_it_is() {
    const BYTES: usize = 10 << 20;
    let database = Database::new().await;
    let numbers = format!("[{}1]", "1,".repeat(BYTES / 2));
    let nested = format!("{}{}", "[".repeat(BYTES / 2), "]".repeat(BYTES / 2));
    let markup = "<script>alert(1)</script>\n".repeat(BYTES / 26);
    let one_line = format!("{{\"text\": \"{}\"}}", "\u{20ac}".repeat(BYTES / 3));
    let bytes: Vec<u8> = (0..=255).cycle().take(BYTES).collect();
    let payloads = [numbers.into_bytes(), nested.into_bytes(), markup.into_bytes(), one_line.into_bytes(), bytes];
    let web = Web::guarded(&database.dsn(), &[]).await;
    for (which, payload) in payloads.into_iter().enumerate() {
        let size = payload.len();
        let id = database.enqueue("work", payload).await;
        let ask = async |path: String| web.ask(&format!("GET {path}")).bearer(operator()).answer().await;
        let page = ask(format!("/jobs/{id}")).await;
        assert!(page.status == 200 && page.body.len() < 1 << 20, "{which}: {} bytes", page.body.len());
        assert!(!page.body.contains("<script>alert"), "{which}");
        let list = ask("/jobs".to_owned()).await;
        assert!(list.status == 200 && list.body.len() < 1 << 20, "{which}: {} bytes", list.body.len());
        let api = ask(format!("/api/v1/jobs/{id}")).await;
        assert!(api.status == 200 && api.body.len() < 1 << 20, "{which}: {} bytes", api.body.len());
        let whole = ask(format!("/jobs/{id}/payload")).await;
        assert!(whole.header("content-disposition").starts_with("attachment"), "{which}: {:?}", whole.headers);
        assert_eq!(whole.header("x-content-type-options"), "nosniff");
        for args in [["job", &id.to_string(), "--json"].as_slice(), &["job", &id.to_string()]] {
            let told = database.cli_ok(args).await.stdout;
            assert!(told.len() < 1 << 20, "{which}: {args:?} prints {} bytes", told.len());
            assert!(told.contains(&size.to_string()), "{which}: {args:?} does not say how large it is");
        }
    }
    assert!(is_well(&web.address).await);
}

/// Whether the server has this connection open, according to the kernel.
fn is_established(web: &Web, port: u16, from: u16) -> bool {
    let table = std::fs::read_to_string(format!("/proc/{}/net/tcp", web.host.pid())).unwrap();
    // sl, local address, remote address, state
    table.lines().skip(1).any(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        fields[1].ends_with(&format!(":{port:04X}"))
            && fields[2].ends_with(&format!(":{from:04X}"))
            && fields[3] == "01"
    })
}

#[tokio::test]
async fn requests_that_are_too_long_are_refused() {
    let database = Database::new().await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let long = "x".repeat(40 << 10);
    let head = web.ask("GET /login").header("X-Long", &long).answer().await;
    assert!(matches!(head.status, 0 | 431), "{head:?}");
    let path = web.ask(&format!("GET /login?next=/{long}")).answer().await;
    assert!(matches!(path.status, 0 | 414 | 431), "{path:?}");
    let login = web.ask("POST /login").form(&format!("name=ann&password={long}")).answer().await;
    // Who is still sending may not hear why.
    assert!(matches!(login.status, 0 | 413), "{login:?}");
    let body = web.ask("POST /jobs/1/payload").bearer(operator()).form(&"x".repeat(3 << 20)).answer().await;
    assert!(matches!(body.status, 0 | 413), "{body:?}");
    assert!(is_well(&web.address).await);
}

#[tokio::test]
async fn it_stops_at_once_though_somebody_listens() {
    let database = Database::new().await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let mut live = web.ask("GET /live").bearer(operator()).sent().await.unwrap();
    let mut head = [0; 12];
    live.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200");
    let mut host = web.host;
    host.signal(Signal::TERM);
    let mut rest = Vec::new();
    live.read_to_end(&mut rest).await.expect("the stream ends");
    assert!(host.ended().await.success(), "{}", host.log());
}

#[tokio::test]
async fn it_says_that_its_database_is_gone_and_is_there_when_it_is_back() {
    let database = Database::new().await;
    let proxy = Proxy::before(&database.dsn()).await;
    proxy.fall_silent();
    let web = Web::guarded(&proxy.dsn(), &[]).await;
    let ask = async |path: &str| web.ask(&format!("GET {path}")).bearer(operator()).answer().await;
    let health = ask("/healthz").await;
    assert!(health.status == 503 && health.body.contains("unavailable"), "{health:?}");
    assert_eq!(ask("/jobs").await.status, 503);
    assert_eq!(ask("/login").await.status, 200);
    proxy.recover();
    eventually("the pages are back", async || ask("/jobs").await.status == 200).await;
    eventually("it says so", async || ask("/healthz").await.status == 200).await;
    proxy.cut();
    eventually("it connects again", async || ask("/jobs").await.status == 200).await;
}
