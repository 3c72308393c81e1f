//! What a plugin may do is what the operator grants, whatever it tries.

use pgq_host_tests::{Database, Host, Pages, Plugins, Receiver, guest};
use serde_json::json;

/// A host with the guest `capabilities` under these grants.
async fn host(database: &Database, plugins: &Plugins, grants: &str) -> Host {
    configure(plugins, grants);
    Host::start(database, plugins, &[]).await
}

fn configure(plugins: &Plugins, grants: &str) {
    std::fs::write(plugins.config(), format!("[plugins.capabilities]\n{grants}\n")).unwrap();
}

async fn output(database: &Database, entrypoint: &str, payload: &str) -> String {
    let id = database.enqueue(entrypoint, payload).await;
    database.wait_for(id, "successful").await;
    database.output(id).await.unwrap()
}

async fn fetch_encrypted(database: &Database, authority: &str) -> String {
    output(
        database,
        "fetch",
        &json!({"method": "GET", "scheme": "https", "authority": authority, "path": "/"}).to_string(),
    )
    .await
}

async fn fetch(database: &Database, method: &str, authority: &str, path: &str, headers: &[(&str, &str)]) -> String {
    let call = json!({"method": method, "scheme": "http", "authority": authority, "path": path, "headers": headers});
    output(database, "fetch", &call.to_string()).await
}

#[tokio::test]
async fn only_the_granted_origin_and_method_are_reached_however_they_are_written() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let (mine, other) = (Receiver::start(vec![200, 302, 200]).await, Receiver::start(vec![200]).await);
    let port = mine.port();
    let grants = format!("http = [{{ origin = \"{}\", methods = [\"GET\"] }}]", mine.origin());
    configure(&plugins, &grants);
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    let granted = format!("127.0.0.1:{port}");
    assert_eq!(fetch(&database, "GET", &granted, "/a", &[]).await, "200");
    // A redirect is an ordinary response. The guest requests its target, and that is checked.
    assert_eq!(fetch(&database, "GET", &granted, "/b", &[]).await, "302 http://169.254.169.254/");
    // Another notation of the same address is the same origin.
    assert_eq!(fetch(&database, "GET", &format!("2130706433:{port}"), "/c", &[]).await, "200");
    for (method, authority, path) in [
        ("POST", granted.clone(), "/"),
        ("CONNECT", granted.clone(), "/"),
        ("GET", format!("127.0.0.1:{}", other.port()), "/"),
        ("GET", format!("localhost:{port}"), "/"),
        ("GET", "169.254.169.254".to_owned(), "/"),
        ("GET", format!("0x7f.1:{}", other.port()), "/"),
        ("GET", format!("[::ffff:127.0.0.1]:{}", other.port()), "/"),
        ("GET", format!("127.1:{}", other.port()), "/"),
        ("GET", format!("user@127.0.0.1:{port}"), "/"),
        ("GET", format!("127.0.0.1:{port}@localhost:{}", other.port()), "/"),
    ] {
        let answer = fetch(&database, method, &authority, path, &[]).await;
        assert!(["ErrorCode::HttpRequestDenied", "authority"].contains(&&*answer), "{method} {authority}: {answer}");
    }
    // A whole URL in place of the path, or a `Host` header set by the guest: neither is sent.
    let answer = fetch(&database, "GET", &granted, &format!("{}/", other.origin()), &[]).await;
    assert!(!answer.starts_with("200"), "{answer}");
    assert!(fetch(&database, "GET", &granted, "/", &[("host", "localhost")]).await.contains("Forbidden"));
    let requests = mine.requests();
    assert_eq!((requests.len(), other.requests().len()), (3, 0));
    assert!(requests.iter().all(|request| request.contains(&format!("host: {granted}\r\n"))), "{requests:?}");
    let page = pages.get("/metrics").1;
    assert!(page.contains(r#"pgq_host_denied_total{plugin="capabilities",what="http"}"#), "{page}");
    let log = host.stop().await;
    assert!(log.contains("denied: add `http = [") && log.contains("[plugins.capabilities]"), "{log}");
}

#[tokio::test]
async fn a_granted_name_that_leads_into_the_operators_network_needs_that_network_too() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let receiver = Receiver::start(vec![200]).await;
    let authority = format!("localhost:{}", receiver.port());
    let grant = format!("http = [\"http://{authority}\"]");
    let before = host(&database, &plugins, &grant).await;
    assert_eq!(fetch(&database, "GET", &authority, "/", &[]).await, "ErrorCode::DestinationIpProhibited");
    assert!(receiver.requests().is_empty());
    assert!(before.stop().await.contains("private-networks = ["));
    let after = host(&database, &plugins, &format!("{grant}\nprivate-networks = [\"127.0.0.0/8\"]")).await;
    assert_eq!(fetch(&database, "GET", &authority, "/", &[]).await, "200");
    after.stop().await;
}

#[tokio::test]
async fn a_secret_is_put_in_by_the_host_for_its_origins_only_and_is_in_no_log() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let (told, untold) = (Receiver::start(vec![200; 2]).await, Receiver::start(vec![200]).await);
    let file = plugins.path().join("token");
    std::fs::write(&file, "s3cr3t-v4lue\n").unwrap();
    let grants = format!(
        "http = [\"{0}\", \"{1}\"]\nsecrets.token = {{ file = {2:?}, origins = [\"{0}\"] }}",
        told.origin(),
        untold.origin(),
        file.to_str().unwrap()
    );
    configure(&plugins, &grants);
    let host = Host::start(&database, &plugins, &["--log-level", "debug"]).await;
    let bearer = [("authorization", "Bearer {{secret:token}}")];
    let at = |receiver: &Receiver| format!("127.0.0.1:{}", receiver.port());
    assert_eq!(fetch(&database, "GET", &at(&told), "/", &bearer).await, "200");
    assert!(told.requests()[0].contains("authorization: Bearer s3cr3t-v4lue\r\n"));
    // To another origin, or with another name, nothing is sent at all.
    assert_eq!(fetch(&database, "GET", &at(&untold), "/", &bearer).await, "ErrorCode::HttpRequestDenied");
    assert_eq!(
        fetch(&database, "GET", &at(&told), "/", &[("x", "{{secret:other}}")]).await,
        "ErrorCode::HttpRequestDenied"
    );
    // In a path it is ordinary text.
    assert_eq!(fetch(&database, "GET", &at(&told), "/?token=secret:token", &[]).await, "200");
    assert_eq!((told.requests().len(), untold.requests().len()), (2, 0));
    let log = host.stop().await;
    assert!(log.contains("\"token\\\" is not granted for") || log.contains("\"token\" is not granted for"), "{log}");
    assert!(!log.contains("s3cr3t-v4lue"), "{log}");
}

#[tokio::test]
async fn jobs_are_enqueued_only_for_granted_entrypoints() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let host = host(&database, &plugins, "enqueue = [\"told\"]").await;
    assert_eq!(output(&database, "pass_on", "told").await, "submitted");
    let refusal = output(&database, "pass_on", "pass_on").await;
    assert!(refusal.contains("\"pass_on\"") && refusal.contains("enqueue = [\"pass_on\"]"), "{refusal}");
    database.wait_until_done().await;
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'told' AND status = 'successful'").await,
        1
    );
    assert_eq!(
        database
            .count("SELECT count(*) FROM pgqueuer_log WHERE entrypoint = 'pass_on' AND status = 'successful'")
            .await,
        2
    );
    host.stop().await;
}

#[tokio::test]
async fn folders_are_read_only_and_cannot_be_escaped_and_variables_are_those_granted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let outer = tempfile::tempdir().unwrap();
    let inner = outer.path().join("inner");
    std::fs::create_dir(&inner).unwrap();
    std::fs::write(outer.path().join("private"), "private").unwrap();
    std::fs::write(inner.join("shared"), "shared").unwrap();
    std::os::unix::fs::symlink("../private", inner.join("up")).unwrap();
    std::os::unix::fs::symlink(outer.path().join("private"), inner.join("absolute")).unwrap();
    let grants = format!("env.COLOUR = \"blue\"\ndirectories.\"/data\" = {:?}", inner.to_str().unwrap());
    let host = host(&database, &plugins, &grants).await;
    let refused = "unwritable unmakeable unmovable unremovable";
    assert_eq!(output(&database, "look", "/data/shared").await, format!("shared {refused}"));
    for path in ["/data/../private", "/data/up", "/data/absolute", "/private", "/data/../../etc/passwd", "/etc/passwd"]
    {
        assert_eq!(output(&database, "look", path).await, format!("unreadable {refused}"), "{path}");
    }
    assert_eq!(output(&database, "told", "").await, r#"[("COLOUR", "blue")]"#);
    assert_eq!(std::fs::read_to_string(inner.join("shared")).unwrap(), "shared");
    assert_eq!(std::fs::read_dir(&inner).unwrap().count(), 3);
    host.stop().await;
}

#[tokio::test]
async fn grants_pinned_to_a_digest_apply_to_that_file_only_and_missing_ones_are_logged() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    configure(&plugins, &format!("sha256 = \"{}\"", "0".repeat(64)));
    let refused = Host::spawn(&database, &plugins, &[]);
    refused.wait_for_log("which sha256 under [plugins.capabilities]").await;
    refused.wait_for_log("ready").await;
    refused.stop().await;
    let digest = pgq_engine::digest::sha256(&std::fs::read(guest("capabilities")).unwrap());
    let host = host(&database, &plugins, &format!("sha256 = [\"{digest}\"]")).await;
    let log = host.stop().await;
    for line in ["needed.example:443", "config.", "secrets.", "NEEDED", "/needed", "needed_entrypoint"] {
        assert!(log.lines().any(|text| text.contains("it needs") && text.contains(line)), "{line}: {log}");
    }
}

#[tokio::test]
async fn an_authority_of_the_operators_own_is_trusted_where_it_is_named_and_nowhere_else() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let (receiver, authority) = Receiver::encrypted(vec![200; 2]).await;
    let file = plugins.path().join("authority.pem");
    std::fs::write(&file, authority).unwrap();
    let port = receiver.port();
    let grants = format!(
        "http = [\"https://localhost:{port}\", \"https://127.0.0.1:{port}\"]\nprivate-networks = [\"127.0.0.0/8\", \"::1\"]"
    );
    let strict = host(&database, &plugins, &grants).await;
    let refused = fetch_encrypted(&database, &format!("localhost:{port}")).await;
    assert!(refused.contains("Tls"), "nobody known has signed it: {refused}");
    strict.stop().await;
    let host = host(&database, &plugins, &format!("{grants}\nca-file = {file:?}")).await;
    assert_eq!(fetch_encrypted(&database, &format!("localhost:{port}")).await, "200");
    let refused = fetch_encrypted(&database, &format!("127.0.0.1:{port}")).await;
    assert!(refused.contains("Tls"), "its certificate is for another name: {refused}");
    assert_eq!(receiver.requests().len(), 1);
    host.stop().await;
}

#[tokio::test]
async fn a_file_that_names_no_authority_keeps_the_host_from_starting() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    for (content, said) in
        [("", "no certificate of an authority"), ("-----BEGIN CERTIFICATE-----\n!", "is not valid PEM")]
    {
        let file = plugins.path().join("authority.pem");
        std::fs::write(&file, content).unwrap();
        configure(&plugins, &format!("ca-file = {file:?}"));
        let mut host = Host::spawn(&database, &plugins, &[]);
        assert!(!host.ended().await.success());
        assert!(host.log().contains(said) && host.log().contains("authority.pem"), "{}", host.log());
    }
}

#[tokio::test]
async fn answers_are_read_up_to_a_limit_per_run() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let receiver = Receiver::start(vec![200; 3]).await;
    let host = host(&database, &plugins, &format!("http = [\"{}\"]", receiver.origin())).await;
    let download = async |bytes: usize| {
        let authority = format!("127.0.0.1:{}", receiver.port());
        let call =
            json!({"method": "GET", "scheme": "http", "authority": authority, "path": format!("/flood/{bytes}")});
        output(&database, "download", &call.to_string()).await
    };
    const MOST: usize = 64 << 20;
    assert_eq!(download(MOST).await, MOST.to_string());
    let ended = download(2 * MOST).await;
    let (read, error) = ended.split_once(' ').unwrap();
    assert!(read.parse::<usize>().unwrap() <= MOST && error.contains("body size exceeds limit"), "{ended}");
    assert_eq!(download(1_000_000).await, "1000000", "the next run has its own");
    host.stop().await;
}

#[tokio::test]
async fn grants_are_read_again_at_a_hangup_and_bad_ones_change_nothing() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let receiver = Receiver::start(vec![200; 9]).await;
    let token = plugins.path().join("token");
    let at = format!("127.0.0.1:{}", receiver.port());
    let origin = receiver.origin();
    let with_token = format!("http = [{origin:?}]\nsecrets.token = {{ file = {token:?}, origins = [{origin:?}] }}");
    std::fs::write(&token, "old").unwrap();
    let host = host(&database, &plugins, &with_token).await;
    let bearer = [("authorization", "{{secret:token}}")];
    let last = || receiver.requests().last().cloned().unwrap_or_default();
    let mut hangups = 0;
    let mut hang_up = async |then: &str| {
        hangups += 1;
        host.signal(rustix::process::Signal::HUP);
        pgq_host_tests::eventually("it was heard", async || host.log().matches(then).count() == hangups).await;
    };
    assert_eq!(fetch(&database, "GET", &at, "/", &bearer).await, "200");
    assert!(last().contains("authorization: old\r\n"));

    // A rotated secret.
    std::fs::write(&token, "new").unwrap();
    hang_up("SIGHUP").await;
    pgq_host_tests::eventually("the new one is sent", async || {
        assert_eq!(fetch(&database, "GET", &at, "/", &bearer).await, "200");
        last().contains("authorization: new\r\n")
    })
    .await;

    // A mistake: everything stays as it was.
    configure(&plugins, "http = [\"nonsense\"]");
    hang_up("SIGHUP").await;
    host.wait_for_log("grants stay as they were").await;
    assert_eq!(fetch(&database, "GET", &at, "/", &bearer).await, "200");

    // Revoked.
    configure(&plugins, "");
    hang_up("SIGHUP").await;
    pgq_host_tests::eventually("it is revoked", async || {
        fetch(&database, "GET", &at, "/", &[]).await == "ErrorCode::HttpRequestDenied"
    })
    .await;

    // Grants for another file: this one is no longer served, as after a restart, and its jobs wait.
    configure(&plugins, &format!("sha256 = \"{}\"", "0".repeat(64)));
    hang_up("SIGHUP").await;
    host.wait_for_log("which sha256 under [plugins.capabilities]").await;
    configure(&plugins, "");
    let id = database.enqueue("told", "").await;
    hang_up("SIGHUP").await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}
