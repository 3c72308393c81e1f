//! `pgq:plugin/http`: a request in one call, under all that `wasi:http` is under.

use pgq_host_tests::{Database, Host, Pages, Plugins, Receiver};
use serde_json::{Value, json};
use tokio::net::TcpListener;

async fn host(database: &Database, plugins: &Plugins, grants: &str, arguments: &[&str]) -> Host {
    std::fs::write(plugins.config(), format!("[plugins.words]\n{grants}\n")).unwrap();
    Host::start(database, plugins, arguments).await
}

async fn send(database: &Database, call: Value) -> String {
    let id = database.enqueue("send", call.to_string()).await;
    database.wait_for(id, "successful").await;
    database.output(id).await.unwrap()
}

#[tokio::test]
async fn a_request_goes_where_it_is_granted_and_its_answer_is_read_in_pieces() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let (mine, other) = (Receiver::start(vec![200, 302, 503, 200, 200]).await, Receiver::start(vec![]).await);
    let pages = Pages::anywhere();
    let grants = format!("http = [{{ origin = {:?}, methods = [\"GET\", \"POST\"] }}]", mine.origin());
    let host = host(&database, &plugins, &grants, &["--listen", &pages.address()]).await;
    let url = |path: &str| format!("{}{path}", mine.origin());
    let call = json!({"method": "POST", "url": url("/a?b=c"), "headers": [["x-y", "ü"], ["Host", "elsewhere"],
        ["Content-Length", "1"], ["transfer-encoding", "chunked"]], "body": [3, 0, 70_000], "timeout": 60_000});
    assert_eq!(send(&database, call).await, "200 2");
    let request = mine.requests().remove(0);
    for part in [
        "POST /a?b=c HTTP/1.1\r\n",
        "x-y: ü\r\n",
        "content-length: 70003\r\n",
        &format!("host: {}\r\n", &mine.origin()[7..]),
    ] {
        assert!(request.contains(part), "{part}: {}", &request[..300]);
    }
    assert!(!request.contains("elsewhere") && !request.contains("transfer-encoding"));
    // Any status is an answer, and nobody follows a redirect.
    let get = |path: &str| json!({"method": "GET", "url": url(path)});
    assert_eq!(send(&database, get("/b")).await, "302 2 http://169.254.169.254/");
    assert_eq!(send(&database, get("/c")).await, "503 2");
    assert!(mine.requests()[2].starts_with("GET /c HTTP/1.1\r\n") && !mine.requests()[2].contains("content-length"));
    assert_eq!(
        send(&database, json!({"method": "GET", "url": url("/flood/100000"), "read": 7_000})).await,
        "200 100000"
    );
    assert_eq!(mine.requests().len(), 4);

    for (method, url) in [
        ("PUT", url("/")),
        ("CONNECT", url("/")),
        ("GET", other.origin()),
        ("GET", format!("http://user@{}/", &mine.origin()[7..])),
        ("GET", "http://169.254.169.254/".to_owned()),
    ] {
        let answer = send(&database, json!({"method": method, "url": url})).await;
        assert!(answer.starts_with("ErrorKind::Denied: "), "{method} {url}: {answer}");
    }
    let answer = send(&database, json!({"method": "GET", "url": other.origin()})).await;
    assert!(answer.contains("add `http = [") && answer.contains("[plugins.words]"), "{answer}");
    assert_eq!((mine.requests().len(), other.requests().len()), (4, 0));
    for (method, url, said) in [
        ("GET", "/path", "it has no scheme"),
        ("GET", "ftp://localhost/", "only http and https"),
        ("GET", "http://a b/", "is not a URL"),
        ("G T", "http://localhost/", "is not a method"),
    ] {
        let answer = send(&database, json!({"method": method, "url": url})).await;
        assert!(answer.starts_with("ErrorKind::Invalid: ") && answer.contains(said), "{url}: {answer}");
    }
    for header in [["a b", "c"], ["a", "b\nc: d"]] {
        let answer = send(&database, json!({"method": "GET", "url": url("/"), "headers": [header]})).await;
        assert!(answer.starts_with("ErrorKind::Invalid: "), "{answer}");
    }
    let page = pages.get("/metrics").1;
    assert!(page.contains(r#"pgq_host_denied_total{plugin="words",what="http"}"#), "{page}");
    let traffic = "SELECT count(*) FROM pgqueuer_attempt WHERE requests = 1";
    assert!(database.count(traffic).await >= 4);
    host.stop().await;
}

#[tokio::test]
async fn secrets_and_private_networks_are_the_hosts_business_here_as_well() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let receiver = Receiver::start(vec![200, 200]).await;
    let token = plugins.path().join("token");
    std::fs::write(&token, "s3cr3t").unwrap();
    let by_name = format!("http://localhost:{}", receiver.port());
    let grants = format!(
        "http = [{0:?}, {by_name:?}]\nsecrets.token = {{ file = {token:?}, origins = [{0:?}] }}",
        receiver.origin()
    );
    let host = host(&database, &plugins, &grants, &[]).await;
    let bearer = |url: &str, name: &str| json!({"method": "GET", "url": url, "headers": [["authorization", format!("{{{{secret:{name}}}}}")]]});
    assert_eq!(send(&database, bearer(&receiver.origin(), "token")).await, "200 2");
    assert!(receiver.requests()[0].contains("authorization: s3cr3t\r\n"));
    let answer = send(&database, bearer(&receiver.origin(), "other")).await;
    assert!(answer.starts_with("ErrorKind::Denied: there is no secret \"other\""), "{answer}");
    let answer = send(&database, json!({"method": "GET", "url": by_name})).await;
    assert!(answer.starts_with("ErrorKind::Denied: ") && answer.contains("private-networks = ["), "{answer}");
    assert_eq!(receiver.requests().len(), 1);
    assert!(!host.stop().await.contains("s3cr3t"));
}

#[tokio::test]
async fn what_does_not_answer_ends_with_its_time_or_with_the_run() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    // Accepted by the system, answered by nobody.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", silent.local_addr().unwrap());
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = format!("http://{}", closed.local_addr().unwrap());
    drop(closed);
    let nowhere = "http://nowhere.invalid";
    let host = host(&database, &plugins, &format!("http = [{origin:?}, {nobody:?}, {nowhere:?}]"), &[]).await;
    let call = json!({"method": "GET", "url": origin, "timeout": 100});
    assert!(send(&database, call).await.starts_with("ErrorKind::Timeout: "));
    for url in [&nobody, nowhere] {
        let answer = send(&database, json!({"method": "GET", "url": url})).await;
        assert!(answer.starts_with("ErrorKind::Unreachable: "), "{answer}");
    }
    let id = database.enqueue("slow", json!({"method": "GET", "url": origin}).to_string()).await;
    database.wait_for(id, "failed").await;
    assert_eq!(database.traceback(id).await["exception_type"], "DeadlineExceeded");
    host.stop().await;
}

#[tokio::test]
async fn what_is_sent_and_received_is_the_runs_own_and_bounded() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let receiver = Receiver::start(vec![200; 3]).await;
    let host = host(&database, &plugins, &format!("http = [{:?}]", receiver.origin()), &[]).await;
    let flood =
        |bytes: usize| json!({"method": "GET", "url": format!("{}/flood/{bytes}", receiver.origin()), "read": 1 << 30});
    const MOST: usize = 64 << 20;
    assert_eq!(send(&database, flood(MOST)).await, format!("200 {MOST}"));
    let ended = send(&database, flood(2 * MOST)).await;
    assert!(ended.contains("ErrorKind::TooLarge: "), "{ended}");
    // A body is on the account of the run, whose memory is 256 MiB.
    let id = database
        .enqueue(
            "send_once",
            json!({"method": "POST", "url": receiver.origin(), "body": vec![7 << 20; 50]}).to_string(),
        )
        .await;
    database.wait_for(id, "failed").await;
    assert_eq!(database.traceback(id).await["exception_type"], "OutOfMemory");
    assert_eq!(receiver.requests().len(), 2);
    host.stop().await;
}

/// A map of headers is full at 24,576 of them, and then whoever inserts one more panics: the host with its own
/// `Host`, the trace, the body's length.
#[tokio::test]
async fn a_request_that_is_full_of_headers_is_an_error_of_the_guest() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let receiver = Receiver::start(vec![200]).await;
    let host = host(&database, &plugins, &format!("http = [{:?}]", receiver.origin()), &[]).await;
    let name = |number: usize| -> String {
        [number / 1_296, number / 36 % 36, number % 36]
            .map(|digit| char::from_digit(u32::try_from(digit).unwrap(), 36).unwrap())
            .iter()
            .collect()
    };
    let call = |count: usize| {
        let headers: Vec<[String; 2]> = (0..count).map(|number| [name(number), String::new()]).collect();
        json!({"method": "POST", "url": receiver.origin(), "headers": headers, "body": [3]})
    };
    for count in [24_575, 24_576, 24_577, 1_001] {
        let answer = send(&database, call(count)).await;
        assert!(answer.starts_with("ErrorKind::Invalid: ") && answer.contains("fewer headers"), "{count}: {answer}");
    }
    assert_eq!(receiver.requests().len(), 0);
    assert_eq!(send(&database, call(1_000)).await, "200 2");
    assert!(!host.stop().await.contains("panic"));
}
