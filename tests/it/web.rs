//! Who may see and change what on the pages, and what becomes of those who may not.

use std::collections::BTreeSet;
use std::path::Path;

use pgq_host_tests::{Answer, Ask, Database, Host, Pages, Plugins, eventually, pgq_host, run_command};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinSet;

const OPERATOR: &str = "an-operators-token-0123456789";
const VIEWER: &str = "a-viewers-token-0123456789";
const PASSWORD: &str = "correct horse battery";

/// `pgq-host web`, with what it serves.
pub(crate) struct Web {
    pub(crate) host: Host,
    pub(crate) address: String,
    folder: TempDir,
}

impl Web {
    /// With these arguments and variables.
    pub(crate) async fn start(dsn: &str, args: &[&str]) -> Web {
        let address = Pages::anywhere().address();
        let port = address.rsplit(':').next().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut command = pgq_host(dsn);
        command.args(["web", "--port", port]).args(args).current_dir(folder.path());
        let host = Host::launch(command);
        host.wait_for_log("serving the pages at").await;
        Web { host, address, folder }
    }

    /// With a user, `ann`, and the tokens of an operator and of a viewer.
    pub(crate) async fn guarded(dsn: &str, args: &[&str]) -> Web {
        let folder = tempfile::tempdir().unwrap();
        let tokens = folder.path().join("tokens");
        std::fs::write(&tokens, format!("# of the tests\nbot operator {OPERATOR}\neye viewer {VIEWER}\n")).unwrap();
        let tokens = tokens.to_str().unwrap().to_owned();
        let all = [&["--user", "ann", "--password", PASSWORD, "--token-file", &tokens], args].concat();
        let web = Web::start(dsn, &all).await;
        Web { folder, ..web }
    }

    pub(crate) fn ask(&self, method_and_path: &str) -> Ask {
        assert!(self.folder.path().is_dir());
        Ask::new(&self.address, method_and_path)
    }

    /// What the login form answers.
    async fn log_in(&self, name: &str, password: &str, next: &str) -> Answer {
        let form = format!("name={name}&password={}&next={next}", password.replace(' ', "+"));
        self.ask("POST /login").form(&form).answer().await
    }

    /// The cookie of a login, and what a change has to send along.
    async fn session(&self) -> (String, String) {
        let answer = self.log_in("ann", PASSWORD, "/").await;
        assert_eq!(answer.status, 303, "{answer:?}");
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        let me = self.ask("GET /api/v1/me").header("Cookie", &cookie).answer().await;
        let me: Value = serde_json::from_str(&me.body).unwrap_or_else(|_| panic!("{me:?}"));
        assert_eq!((&me["name"], &me["role"]), (&"ann".into(), &"operator".into()));
        (cookie, me["csrf"].as_str().unwrap().to_owned())
    }
}

/// The token of an operator, for other modules.
pub(crate) fn operator() -> &'static str {
    OPERATOR
}

/// All paths that the source of the pages names, and all of the API's document.
async fn paths(web: &Web) -> BTreeSet<String> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/pgq-web/src/pages/routes.rs");
    let source = std::fs::read_to_string(source).unwrap();
    let routes = source.split(".route(\"").skip(1).map(|rest| rest.split('"').next().unwrap().to_owned());
    let document = web.ask("GET /api/v1/openapi.json").bearer(OPERATOR).answer().await;
    let document: Value = serde_json::from_str(&document.body).unwrap();
    let api: Vec<String> = document["paths"].as_object().unwrap().keys().cloned().collect();
    assert!(api.len() >= 2 && api.iter().all(|path| path.starts_with("/api/v1/")), "{api:?}");
    let known = ["/api/v1/openapi.json", "/logout", "/nothing", "/api/v1/nothing"].map(str::to_owned);
    let all: BTreeSet<String> = routes.chain(api).chain(known).collect();
    assert!(all.len() > 15, "{all:?}");
    all.into_iter()
        .filter(|path| !path.starts_with("/assets/"))
        .map(|path| {
            path.split('/').map(|part| if part.starts_with('{') { "1" } else { part }).collect::<Vec<_>>().join("/")
        })
        .collect()
}

#[tokio::test]
async fn nothing_is_answered_to_whoever_is_not_logged_in() {
    let database = Database::new().await;
    let id = database.enqueue("work", "a secret payload").await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let job = format!("/jobs/{id}");
    let odd = [
        "//",
        "/assets/../jobs",
        "/assets/%2e%2e/jobs",
        "/assets/..%2fjobs",
        "/login/../jobs",
        "/./jobs",
        "/login/",
        "/LOGIN",
        "/assets",
        &job,
    ]
    .map(str::to_owned);
    for path in paths(&web).await.into_iter().chain(odd) {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "BREW"] {
            let ask = web.ask(&format!("{method} {path}"));
            let answer = ask.answer().await;
            // A path below /assets is public, and there is nothing else there.
            let nothing = path.starts_with("/assets/") && answer.status == 404;
            assert!(nothing || matches!(answer.status, 400 | 401), "{method} {path}: {answer:?}");
            assert!(!answer.body.contains("secret"), "{method} {path}: {answer:?}");
        }
        for wrong in ["Bearer x", "Bearer ", "Basic YW5uOng=", "Basic x", "Negotiate x"] {
            let answer = web.ask(&format!("GET {path}")).header("Authorization", wrong).answer().await;
            assert!(matches!(answer.status, 400 | 401 | 404 | 429), "{path} with {wrong}: {answer:?}");
            assert!(!answer.body.contains("secret"));
        }
        let answer = web.ask(&format!("GET {path}")).header("Cookie", "pgq_host_1=x").answer().await;
        assert!(matches!(answer.status, 400 | 401 | 404), "{path} with a cookie: {answer:?}");
    }
    // A browser is led to the form, a part of a page to where it can lead its browser.
    let page = web.ask("GET /jobs?a=1").header("Accept", "text/html").answer().await;
    assert_eq!((page.status, page.header("location")), (303, "/login?next=%2Fjobs%3Fa%3D1"));
    let part = web.ask("GET /jobs").header("HX-Request", "true").answer().await;
    assert_eq!((part.status, part.header("hx-redirect")), (401, "/login?next=%2Fjobs"));
    assert_eq!(web.ask("GET /login").answer().await.status, 200);
    assert_eq!(web.ask("GET /healthz").answer().await.body, "{\"status\":\"ok\"}");
}

/// For whoever is logged in, too, there is nothing but pages: no file of the machine, nothing above the site.
#[tokio::test]
async fn no_path_leads_out_of_the_site() {
    let database = Database::new().await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let up = ["../", "%2e%2e/", "..%2f", "%2e%2e%2f", "..%5c", "..\\", "%252e%252e%252f", "....//"];
    let places =
        ["/", "/assets/", "/assets/0/", "/assets/0123456789abcdef/", "/jobs/", "/jobs/1/", "/api/v1/jobs/", "/api/v1/"];
    for place in places {
        for up in up {
            for target in ["etc/passwd", "proc/self/environ", "pgq-host.toml"] {
                let path = format!("{place}{}{target}", up.repeat(8));
                let answer = web.ask(&format!("GET {path}")).bearer(OPERATOR).answer().await;
                assert!(matches!(answer.status, 400 | 404 | 405), "{path}: {answer:?}");
                assert!(!answer.body.contains("root:") && !answer.body.contains("PGDSN"), "{path}: {answer:?}");
            }
        }
    }
    for path in [
        "/assets/%00",
        "/assets//etc/passwd",
        "//etc/passwd",
        "/file:///etc/passwd",
        "/jobs/%00",
        "/jobs/1%0d%0aX-Evil:1",
    ] {
        let answer = web.ask(&format!("GET {path}")).bearer(OPERATOR).answer().await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {answer:?}");
        assert_eq!(answer.header("x-evil"), "", "{path}");
    }
    // A whole address is a path of this site or nothing, and never one that the server asks for.
    for target in ["http://127.0.0.1:1/etc/passwd", "file:///etc/passwd"] {
        let answer = web.ask(&format!("GET {target}")).bearer(OPERATOR).answer().await;
        assert!(matches!(answer.status, 400 | 404), "{target}: {answer:?}");
    }
}

#[tokio::test]
async fn each_answer_keeps_browsers_from_frames_scripts_and_stores() {
    let database = Database::new().await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    for ask in [
        web.ask("GET /login"),
        web.ask("GET /jobs"),
        web.ask("GET /jobs").bearer(OPERATOR),
        web.ask("GET /api/v1/audit").bearer(VIEWER),
    ] {
        let answer = ask.answer().await;
        let policy = answer.header("content-security-policy");
        assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{answer:?}");
        assert!(!policy.contains("unsafe"), "{policy}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("referrer-policy"), "same-origin");
        assert_eq!(answer.header("cache-control"), "no-store");
        assert_eq!(answer.header("access-control-allow-origin"), "", "no other site reads it");
        for inline in ["<script>", " onclick=", " onload=", "<style", " style="] {
            assert!(!answer.body.contains(inline), "{inline} in {answer:?}");
        }
    }
}

#[tokio::test]
async fn a_login_leads_to_a_page_of_the_site_and_ends_by_a_logout() {
    let database = Database::new().await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let login = web.log_in("ann", PASSWORD, "/jobs?a=1").await;
    assert_eq!((login.status, login.header("location")), (303, "/jobs?a=1"), "{login:?}");
    let cookie = login.header("set-cookie");
    for part in ["; HttpOnly", "; SameSite=Lax", "; Path=/;"] {
        assert!(cookie.contains(part), "{part} is missing in {cookie}");
    }
    for next in [
        "//evil.example",
        "/%5Cevil.example",
        "https://evil.example",
        "%0d%0aX-Evil:+1",
        "/%0d%0aX-Evil:+1",
        "",
        "javascript:alert(1)",
    ] {
        let login = web.log_in("ann", PASSWORD, next).await;
        assert_eq!((login.status, login.header("location"), login.header("x-evil")), (303, "/", ""), "{next}");
        let form = web.ask(&format!("GET /login?next={next}")).answer().await;
        assert!(form.body.contains("name=\"next\" value=\"/\""), "{next}: {form:?}");
    }
    for (name, password) in [("ann", "wrong"), ("bob", PASSWORD), ("", PASSWORD), ("ann", ""), ("ann%00", PASSWORD)] {
        let failed = web.log_in(name, password, "/").await;
        assert_eq!((failed.status, failed.header("set-cookie")), (401, ""), "{name} {password}");
    }
    let by_token = web.log_in("", VIEWER, "/").await;
    assert_eq!(by_token.status, 303);

    let (cookie, csrf) = web.session().await;
    assert_eq!(web.ask("GET /jobs").header("Cookie", &cookie).answer().await.status, 200);
    let live = web.ask("GET /live").header("Cookie", &cookie).sent().await.unwrap();
    let out = web.ask("POST /logout").header("Cookie", &cookie).form(&format!("csrf={csrf}")).answer().await;
    assert_eq!((out.status, out.header("location")), (303, "/login"), "{out:?}");
    assert!(out.header("set-cookie").contains("Max-Age=0"), "{out:?}");
    assert_eq!(web.ask("GET /jobs").header("Cookie", &cookie).answer().await.status, 401);
    let mut live = live;
    let mut rest = Vec::new();
    tokio::io::AsyncReadExt::read_to_end(&mut live, &mut rest).await.expect("the stream ends with the session");
}

#[tokio::test]
async fn a_change_needs_a_proof_from_a_page_of_the_site_and_an_operators_role() {
    let database = Database::new().await;
    let id = database.enqueue("work", "x").await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let (cookie, csrf) = web.session().await;
    let cancel = format!("POST /jobs/{id}/cancel");
    let form = format!("csrf={csrf}");
    let by_cookie = || web.ask(&cancel).header("Cookie", &cookie);
    let by_basic = || web.ask(&cancel).header("Authorization", "Basic YW5uOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==");
    let refused = [
        by_cookie(),
        by_cookie().form("csrf="),
        by_cookie().form("csrf=wrong"),
        by_cookie().form(&format!("csrf=wrong&csrf={csrf}")),
        by_cookie().header("X-CSRF-Token", "wrong").form(&form),
        by_cookie().header("Content-Type", "text/plain").header("Cookie", &format!("csrf={csrf}")),
        by_cookie().header("Origin", "https://evil.example").form(&form),
        by_cookie().header("Origin", "null").form(&form),
        by_cookie().header("Sec-Fetch-Site", "cross-site").form(&form),
        by_cookie().header("Sec-Fetch-Site", "same-site").form(&form),
        by_basic().form("reason="),
        // The proof of a session is none for another way in.
        by_basic().form(&form),
        web.ask(&cancel).bearer(OPERATOR).header("Origin", "https://evil.example"),
        web.ask(&cancel).bearer(VIEWER),
        web.ask("POST /login").header("Origin", "https://evil.example").form("name=ann&password=x"),
    ];
    for (number, ask) in refused.iter().enumerate() {
        let answer = ask.answer().await;
        assert_eq!(answer.status, 403, "{number}: {answer:?}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 1, "nothing was changed");
    let own = by_cookie().header("Origin", "http://localhost").header("Sec-Fetch-Site", "same-origin").form(&form);
    let answer = own.answer().await;
    assert!(answer.status < 400, "{answer:?}");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
    assert_eq!(database.cli_ok(&["audit", "--json"]).await.json()[0]["author"], "ann");
    let id = database.enqueue("work", "x").await;
    let ask = json!({ "ids": [id] });
    let cancel = || web.ask("POST /api/v1/jobs/cancel").json(&ask);
    assert_eq!(cancel().header("Cookie", &cookie).answer().await.status, 403, "a session needs a proof there as well");
    let answer = cancel().bearer(OPERATOR).answer().await;
    assert_eq!(answer.status, 200, "a token needs no proof: {answer:?}");
    assert_eq!(database.cli_ok(&["audit", "--json"]).await.json()[0]["author"], "bot");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0);
}

#[tokio::test]
async fn a_viewer_sees_no_payload() {
    let database = Database::new().await;
    let id = database.enqueue("work", "{\"word\": \"opensesame\"}").await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let shown = web.ask(&format!("GET /jobs/{id}")).bearer(OPERATOR).answer().await;
    assert!(shown.status == 200 && shown.body.contains("opensesame"), "{shown:?}");
    for path in paths(&web).await.into_iter().chain([format!("/jobs/{id}"), format!("/jobs/{id}/payload")]) {
        let path = path.replace("/1", &format!("/{id}"));
        if path == "/live" {
            continue;
        }
        let answer = web.ask(&format!("GET {path}")).bearer(VIEWER).answer().await;
        assert!(!answer.body.contains("opensesame"), "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn a_viewer_changes_nothing_by_the_api() {
    let database = Database::new().await;
    let id = database.enqueue("work", "x").await;
    let web = Web::guarded(&database.dsn(), &[]).await;
    let document = web.ask("GET /api/v1/openapi.json").bearer(VIEWER).answer().await;
    let document: Value = serde_json::from_str(&document.body).unwrap();
    let mut changes = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for method in methods
            .as_object()
            .unwrap()
            .keys()
            .filter(|method| ["post", "put", "patch", "delete"].contains(&method.as_str()))
        {
            changes += 1;
            let ask = web.ask(&format!("{} {}", method.to_uppercase(), path.replace("{id}", &id.to_string())));
            let answer = ask.bearer(VIEWER).json(json!({ "ids": [id] })).answer().await;
            assert_eq!(answer.status, 403, "{method} {path}: {answer:?}");
        }
    }
    assert!(changes > 5, "{changes}");
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE status = 'queued'").await, 1);
    assert_eq!(database.cli_ok(&["audit", "--json"]).await.json(), json!([]));
}

#[tokio::test]
async fn without_a_login_only_this_machine_by_its_own_names_is_answered() {
    let database = Database::new().await;
    let web = Web::start(&database.dsn(), &[]).await;
    for host in ["localhost", "127.0.0.1:8080", "[::1]:8080", "a.localhost"] {
        assert_eq!(web.ask("GET /jobs").host(host).answer().await.status, 200, "{host}");
    }
    for host in ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "localhost, evil.example"] {
        let answer = web.ask("GET /jobs").host(host).answer().await;
        assert_eq!(answer.status, 421, "{host}: {answer:?}");
    }
    let twice = web.ask("GET /jobs").header("Host", "evil.example").answer().await;
    assert!(matches!(twice.status, 400 | 421), "{twice:?}");
    let forged = web.ask("GET /jobs").host("evil.example").header("X-Forwarded-Host", "localhost").answer().await;
    assert_eq!(forged.status, 421, "nobody was told to believe it");
    let me = web.ask("GET /api/v1/me").answer().await;
    let me: Value = serde_json::from_str(&me.body).unwrap();
    let id = database.enqueue("work", "x").await;
    let cancel = || web.ask(&format!("POST /jobs/{id}/cancel"));
    assert_eq!(cancel().form("csrf=").answer().await.status, 403);
    let form = format!("csrf={}", me["csrf"].as_str().unwrap());
    assert_eq!(cancel().header("Origin", "http://evil.example").form(&form).answer().await.status, 403);
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 1);
    assert!(cancel().form(&form).answer().await.status < 400);
}

#[tokio::test]
async fn whoever_guesses_is_slowed_down_and_keeps_nobody_else_out() {
    let database = Database::new().await;
    let web = Web::guarded(&database.dsn(), &["--trusted-proxies", "127.0.0.1"]).await;
    let guess = async |from: &str, name: &str, password: &str| {
        let form = format!("name={name}&password={}", password.replace(' ', "+"));
        web.ask("POST /login").header("X-Forwarded-For", from).form(&form).answer().await
    };
    let many = (0..40).map(|number| {
        let form = format!("name=ann&password=guess+{number}");
        let ask = web.ask("POST /login").header("X-Forwarded-For", "1.1.1.1").form(&form);
        async move { ask.answer().await.status }
    });
    let mut many: JoinSet<u16> = many.collect();
    let mut statuses = Vec::new();
    while let Some(status) = many.join_next().await {
        statuses.push(status.unwrap());
        if statuses.ends_with(&[429]) {
            break;
        }
    }
    // It takes six seconds to forget one.
    let right = guess("1.1.1.1", "ann", PASSWORD).await;
    assert!(right.status == 429 && !right.header("retry-after").is_empty(), "{right:?} after {statuses:?}");
    statuses.extend(many.join_all().await);
    let tried = statuses.iter().filter(|status| **status == 401).count();
    assert!((10..40).contains(&tried) && statuses.iter().all(|status| matches!(status, 401 | 429)), "{statuses:?}");
    assert_eq!(guess("2.2.2.2", "ann", PASSWORD).await.status, 303, "another address is another person");
    assert_eq!(web.ask("GET /jobs").bearer(OPERATOR).answer().await.status, 200);
    web.host.wait_for_log("a login to the pages failed").await;
    assert!(!web.host.log().contains("guess"), "what was entered is in no log");

    // A flood from everywhere: one is hashed at a time, and the pages answer meanwhile.
    let flood = (0..300).map(|number| {
        let form = format!("name=user{number}&password=guess");
        let ask = web.ask("POST /login").header("X-Forwarded-For", &format!("3.3.{}.{}", number / 250, number % 250));
        let ask = ask.form(&form);
        tokio::spawn(async move { ask.answer().await.status })
    });
    let flood: Vec<_> = flood.collect();
    assert_eq!(web.ask("GET /healthz").answer().await.status, 200);
    assert_eq!(web.ask("GET /jobs").bearer(OPERATOR).answer().await.status, 200);
    let mut statuses = Vec::new();
    for login in flood {
        statuses.push(login.await.unwrap());
    }
    assert!(statuses.iter().all(|status| matches!(status, 401 | 503)), "{statuses:?}");
    assert!(statuses.contains(&503), "so many at once do not all wait: {statuses:?}");
}

#[tokio::test]
async fn what_everybody_could_change_is_not_served_to_everybody() {
    let database = Database::new().await;
    let run = async |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = pgq_host(&database.dsn());
        command.args(["web", "--port", "0"]).args(args).envs(variables.iter().copied());
        run_command(command).await
    };
    for (args, variables, says) in [
        (&["--host", "0.0.0.0"][..], &[][..], "PGQUEUER_WEB_PASSWORD"),
        (&[], &[("PGQUEUER_WEB_HOST", "::")], "--token-file"),
        (&["--user", "ann"], &[], "--password"),
        (&[], &[("PGQUEUER_WEB_PASSWORD", "x")], "--user"),
        (&["--token-file", "/does/not/exist"], &[], "/does/not/exist"),
        (&["--base-path", "queue"], &[], "/queue"),
        (&["--trusted-proxies", "proxy"], &[], "10.0.0.0/8"),
    ] {
        let said = run(args, variables).await;
        assert!(said.code == 2 && said.stderr.contains(says), "{args:?} {variables:?}: {said:?}");
    }
    // A worker's pages: its probes are there for everybody, the queue is not.
    let plugins = Plugins::with(&[]);
    let port = Pages::anywhere().address().rsplit(':').next().unwrap().to_owned();
    let address = format!("127.0.0.1:{port}");
    let host = Host::start(&database, &plugins, &["--listen", &format!("0.0.0.0:{port}")]).await;
    assert!(host.log().contains("the pages of the queue are not served here"), "{}", host.log());
    assert_eq!(Ask::new(&address, "GET /jobs").answer().await.status, 404);
    assert_eq!(Ask::new(&address, "GET /metrics").answer().await.status, 200);
    host.stop().await;
    let password = plugins.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    std::fs::write(plugins.config(), format!("[web]\nuser = \"ann\"\npassword-file = {password:?}\n")).unwrap();
    let host = Host::start(&database, &plugins, &["--listen", &format!("0.0.0.0:{port}")]).await;
    assert_eq!(Ask::new(&address, "GET /jobs").answer().await.status, 401);
    assert_eq!(Ask::new(&address, "GET /metrics").answer().await.status, 200);
    host.stop().await;
}

#[tokio::test]
async fn behind_a_proxy_links_cookies_and_origins_are_those_of_the_proxy() {
    let database = Database::new().await;
    let args = ["--base-path", "/queue/", "--trusted-proxies", "127.0.0.1", "--hosts", "jobs.example.com"];
    let web = Web::guarded(&database.dsn(), &args).await;
    let ask =
        |line: &str| web.ask(line).header("X-Forwarded-Proto", "https").header("X-Forwarded-Host", "jobs.example.com");
    assert_eq!(ask("GET /jobs").bearer(OPERATOR).answer().await.status, 404, "it is served below /queue");
    let page = ask("GET /queue/jobs").header("Accept", "text/html").answer().await;
    assert_eq!((page.status, page.header("location")), (303, "/queue/login?next=%2Fjobs"));
    let login = ask("POST /queue/login").header("Origin", "https://jobs.example.com");
    let login = login.form("name=ann&password=correct+horse+battery&next=/jobs").answer().await;
    assert_eq!((login.status, login.header("location")), (303, "/queue/jobs"), "{login:?}");
    let cookie = login.header("set-cookie");
    assert!(cookie.contains("; Secure") && cookie.contains("; Path=/queue/;"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let page = ask("GET /queue").header("Cookie", cookie).answer().await;
    assert!(page.status == 200 && page.body.contains("href=\"/queue/jobs\""), "{page:?}");
    assert!(!page.body.contains("href=\"/jobs\""));
    let other = web.ask("GET /queue/jobs").host("other.example.com").bearer(OPERATOR).answer().await;
    assert_eq!(other.status, 421, "the proxy has one name");
}

#[tokio::test]
async fn masked_fields_are_shown_by_no_page_and_no_verb() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let payload = "{\"customer\": {\"email\": \"eve@example.com\", \"name\": \"Eve\"}, \"iban\": \"DE00\"}";
    let (pay, other) = (database.enqueue("pay", payload).await, database.enqueue("other", payload).await);
    let config = folder.path().join("web.toml");
    std::fs::write(&config, "[web]\nmask = [\"/customer/email\"]\n[web.entrypoints.pay]\nmask = [\"/iban\"]\n")
        .unwrap();
    let config = config.to_str().unwrap();
    let web = Web::start(&database.dsn(), &["--config", config]).await;
    let mut shown = Vec::new();
    for id in [pay, other] {
        for path in [format!("/jobs/{id}"), format!("/jobs/{id}/payload")] {
            shown.push((id, web.ask(&format!("GET {path}")).answer().await.body));
        }
        let id_text = id.to_string();
        for how in [&[][..], &["--json"], &["--payload"]] {
            shown.push((id, database.cli_ok(&[&["job", &id_text, "--config", config], how].concat()).await.stdout));
        }
    }
    for (id, text) in shown {
        assert!(text.contains("Eve") && text.contains("(masked)"), "{text}");
        assert!(!text.contains("eve@example.com"), "{text}");
        assert_eq!(text.contains("DE00"), id == other, "{text}");
    }
}

#[tokio::test]
async fn a_password_is_hashed_for_the_configuration_and_logs_its_user_in() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().unwrap());
    let hash = async |password: &str| {
        let file = folder.path().join("password");
        std::fs::write(&file, password).unwrap();
        let mut command = pgq_host(&database.dsn());
        command.args(["web", "--hash-password"]).stdin(std::fs::File::open(file).unwrap());
        run_command(command).await
    };
    assert_eq!(hash("short\n").await.code, 2);
    let hash = hash(&format!("{PASSWORD}\n")).await;
    assert_eq!(hash.code, 0, "{hash:?}");
    let config = folder.path().join("web.toml");
    let users =
        format!("[[web.users]]\nname = \"vic\"\nrole = \"viewer\"\npassword-hash = \"{}\"\n", hash.stdout.trim());
    std::fs::write(&config, users).unwrap();
    let web = Web::start(&database.dsn(), &["--config", config.to_str().unwrap()]).await;
    assert_eq!(web.log_in("vic", PASSWORD, "/").await.status, 303);
    assert_eq!(web.log_in("vic", "correct horse", "/").await.status, 401);
    let basic = "Basic dmljOmNvcnJlY3QgaG9yc2UgYmF0dGVyeQ==";
    for _ in 0..3 {
        assert_eq!(web.ask("GET /api/v1/audit").header("Authorization", basic).answer().await.status, 200);
    }
    let token = database.cli_ok(&["web", "--new-token"]).await.stdout;
    assert!(token.trim().len() >= 40 && token != database.cli_ok(&["web", "--new-token"]).await.stdout);
    eventually("the wrong password is in the log, without itself", async || web.host.log().contains("vic")).await;
}
