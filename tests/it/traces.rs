//! Traces of jobs: what a collector gets, decoded from the real protobuf.

use std::collections::BTreeSet;

use pgq_host_tests::{Collector, Database, Host, Otlp, Plugins, Receiver, Span, host_binary, pgq, python};
use serde_json::{Value, json};
use tokio::process::Command;

/// `pgq-host run` with these variables and arguments, ready to claim.
pub(super) async fn host(
    database: &Database,
    plugins: &Plugins,
    variables: &[(&'static str, String)],
    args: &[&str],
) -> Host {
    let mut command = Command::new(host_binary());
    command.arg("run").arg("--plugins").arg(plugins.path()).args(args);
    command.env("PGDSN", database.dsn()).env("PGQ_HOST_CONFIG", plugins.config());
    command.envs(variables.iter().map(|(name, value)| (name, value)));
    let host = Host::launch(command);
    host.wait_for_log("ready").await;
    host
}

/// The guest `traced`, which may do all that its payloads say.
pub(super) fn plugins(origins: &[&str], more: &str) -> Plugins {
    let plugins = Plugins::with(&["traced"]);
    let text = format!("[plugins.traced]\nhttp = {origins:?}\nenqueue = [\"*\"]\n{more}");
    std::fs::write(plugins.config(), text).unwrap();
    plugins
}

fn authority(receiver: &Receiver) -> String {
    receiver.origin().trim_start_matches("http://").to_owned()
}

/// The value of a header of a request as a receiver got it.
fn header<'r>(request: &'r str, name: &str) -> Option<&'r str> {
    request.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// A program in tests/interop, which exports its own spans over HTTP.
async fn produce(database: &Database, collector: &Collector, jobs: Value) -> Value {
    let mut command = Command::new(python());
    command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/traced_producer.py"));
    command.arg(format!("{}/v1/traces", collector.origin())).arg(jobs.to_string());
    let output = command.env("PGDSN", database.dsn()).kill_on_drop(true).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything that one order leads to: a producer and a worker in Python, a host between them.
struct Journey {
    id: i64,
    /// The producer's.
    trace: String,
    payload: String,
    /// What the shop was asked.
    request: String,
    shop: u16,
    log: String,
    spans: Vec<Span>,
}

impl Journey {
    async fn made() -> Journey {
        let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
        let shop = Receiver::start(vec![200]).await;
        let plugins = plugins(&[&shop.origin()], "");
        may_use_accounts(&database, &plugins).await;
        let host = host(&database, &plugins, &collector.variables(), &["--log-format", "json"]).await;
        let payload = json!([
            {"say": "an order"},
            {"sql": "INSERT INTO account VALUES (7, 'Ann')"},
            {"get": [authority(&shop), "/stock/7?token=secret"]},
            {"follow": ["mail", "[]"]},
            {"follow": ["python", "{}"]},
        ])
        .to_string();
        let produced = produce(&database, &collector, json!([{"entrypoint": "order", "payload": payload}])).await;
        let id = produced["ids"][0].as_i64().unwrap();
        database.wait_for(id, "successful").await;
        let mut worker = pgq(&database.dsn());
        worker.args(["run", "traced_worker:main", "--mode", "drain", "--shutdown-on-listener-failure", "--", "python"]);
        worker.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/interop"));
        worker.env("OTLP_ENDPOINT", format!("{}/v1/traces", collector.origin()));
        let output = worker.output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        collector.wait_for("process mail", 1).await;
        collector.wait_for("process python", 1).await;
        let log = host.stop().await;
        let trace = produced["trace"].as_str().unwrap().to_owned();
        let (request, shop) = (shop.requests().remove(0), shop.port());
        Journey { id, trace, payload, request, shop, log, spans: collector.spans() }
    }

    /// The one span of this name.
    fn span(&self, name: &str) -> &Span {
        let mut found = self.spans.iter().filter(|span| span.name == name);
        let span = found.next().unwrap_or_else(|| panic!("there is no span {name:?}: {:#?}", self.spans));
        assert!(found.next().is_none(), "{name:?} is there twice: {:#?}", self.spans);
        span
    }
}

#[tokio::test]
async fn one_trace_leads_from_a_python_producer_through_a_handler_to_its_follow_ups_here_and_in_python() {
    let journey = Journey::made().await;
    if let Some(path) = std::env::var_os("PGQ_TRACE_SPANS") {
        std::fs::write(path, serde_json::to_vec(&journey.spans).unwrap()).unwrap();
    }
    for span in &journey.spans {
        assert_eq!(span.trace, journey.trace, "{span:#?}");
        // Python's exporter does not say whether it is.
        assert!(span.start <= span.end && (span.sampled || span.service != "pgq-host"), "{span:#?}");
    }
    for (name, parent, kind) in [
        ("send order", "POST /checkout", "producer"),
        ("process order", "send order", "consumer"),
        ("wait order", "send order", "internal"),
        ("claim order", "process order", "client"),
        ("call order", "process order", "internal"),
        ("INSERT account", "call order", "client"),
        ("GET", "call order", "client"),
        ("create mail", "call order", "producer"),
        ("create python", "call order", "producer"),
        ("record order", "process order", "client"),
        ("process mail", "create mail", "consumer"),
        ("process python", "create python", "consumer"),
    ] {
        let (span, parent) = (journey.span(name), journey.span(parent));
        assert_eq!((&*span.parent, span.kind), (&*parent.id, kind), "{span:#?}");
        // What is sent is processed later, and a job waits until its claim.
        if !name.starts_with("process") && !name.starts_with("wait") {
            assert!(parent.start <= span.start && span.end <= parent.end, "{span:#?} {parent:#?}");
        }
    }
    let services = ["send order", "process order", "process python"].map(|name| &*journey.span(name).service);
    assert_eq!(services, ["shop", "pgq-host", "python worker"]);
    let (process, in_python) = (journey.span("process order"), journey.span("process python"));
    for (name, value) in [
        ("messaging.system", "pgqueuer"),
        ("messaging.destination.name", "order"),
        ("messaging.operation.name", "process"),
        ("messaging.operation.type", "process"),
        ("messaging.message.id", &journey.id.to_string()),
        ("messaging.message.body.size", &journey.payload.len().to_string()),
        ("pgq_host.job.attempt", "1"),
        ("pgq_host.plugin.name", "traced"),
        ("pgq_host.plugin.version", "1.2.3"),
        ("pgq_host.outcome", "complete"),
    ] {
        assert_eq!(process.get(name), value, "{name}");
        // What PgQueuer says of its own, we say in the same way.
        assert!(name.starts_with("pgq_host") || in_python.attributes.contains_key(name), "{name}");
    }
    assert!(
        process.attributes.keys().all(|name| name.starts_with("pgq_host") || in_python.attributes.contains_key(name))
    );
    assert_eq!((process.status, in_python.status), ("ok", "ok"));
    assert_eq!(journey.span("record order").get("messaging.operation.type"), "settle");
}

#[tokio::test]
async fn a_request_and_the_log_name_the_trace_and_the_trace_no_secret() {
    let journey = Journey::made().await;
    let (get, call) = (journey.span("GET"), journey.span("call order"));
    assert_eq!((get.get("http.request.method"), get.get("http.response.status_code")), ("GET", "200"));
    assert_eq!((get.get("server.address"), get.get("server.port")), ("127.0.0.1", &*journey.shop.to_string()));
    let said = serde_json::to_string(&journey.spans).unwrap();
    assert!(!said.contains("secret") && !said.contains("/stock"), "a URL may be a secret: {said}");
    assert!(!said.contains("Ann"), "a statement has no values: {said}");
    let (trace, request) = (&journey.trace, &journey.request);
    assert_eq!(header(request, "traceparent"), Some(&*format!("00-{trace}-{}-01", get.id)), "{request}");
    assert_eq!(header(request, "baggage"), None, "baggage stays in the queue: {request}");
    let line = journey.log.lines().find(|line| line.contains("an order")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    let wanted = (json!(trace), json!(call.id), json!(journey.id));
    assert_eq!((&line["trace_id"], &line["span_id"], &line["job.id"]), (&wanted.0, &wanted.1, &wanted.2));
}

/// A table, and a role for the handlers of `traced` that may use it.
async fn may_use_accounts(database: &Database, plugins: &Plugins) {
    database.execute("CREATE TABLE account (id bigint PRIMARY KEY, owner text)").await;
    let role = handler_role(database).await;
    database.execute(&format!("GRANT SELECT, INSERT ON account TO {role}")).await;
    let password = plugins.path().join("password");
    std::fs::write(&password, "pass word\n").unwrap();
    let sql = format!("[plugins.traced.sql]\nrole = {role:?}\npassword = {{ file = {password:?} }}\n");
    let text = std::fs::read_to_string(plugins.config()).unwrap();
    std::fs::write(plugins.config(), text + &sql).unwrap();
}

/// A role for handlers, which can do nothing yet.
async fn handler_role(database: &Database) -> String {
    let name: String =
        sqlx::query_scalar("SELECT 'h_' || current_database()").fetch_one(database.pool()).await.unwrap();
    // Roles belong to the server, and databases are dropped without them.
    database.execute(&format!("DROP ROLE IF EXISTS {name}")).await;
    database.execute(&format!("CREATE ROLE {name} LOGIN PASSWORD 'pass word'")).await;
    let mut connection = database.connect().await;
    let user: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(&mut connection).await.unwrap();
    let names = pgq_queue::names::Names::new(&Default::default(), |_| None).unwrap();
    let role = |name: &str| pgq_queue::schema::Role::new(name).unwrap();
    pgq_queue::schema::grant_handler(&mut connection, &names, &role(&user), &role(&name)).await.unwrap();
    name
}

#[tokio::test]
async fn statements_of_handlers_are_spans_without_their_values() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Grpc).await);
    let plugins = plugins(&[], "");
    may_use_accounts(&database, &plugins).await;
    let mut variables = collector.variables();
    variables.push(("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip".to_owned()));
    let host = host(&database, &plugins, &variables, &[]).await;
    let insert = "INSERT INTO account /* s3cret */ VALUES (1, 's3cret')";
    let id = database.enqueue("order", json!([{"sql": insert}, {"sql": "SELECT 1 FROM nothing"}]).to_string()).await;
    database.wait_for(id, "failed").await;
    let inserted = collector.wait_for("INSERT account", 1).await.remove(0);
    let call = collector.wait_for("call order", 1).await.remove(0);
    let failed = collector.wait_for("SELECT nothing", 1).await.remove(0);
    assert_eq!((&*inserted.parent, &*failed.parent, inserted.kind), (&*call.id, &*call.id, "client"));
    for (name, value) in [
        ("db.system.name", "postgresql"),
        ("db.operation.name", "INSERT"),
        ("db.query.summary", "INSERT account"),
        ("db.query.text", "INSERT INTO account VALUES (?)"),
    ] {
        assert_eq!(inserted.get(name), value, "{name}");
    }
    assert_eq!((failed.get("db.response.status_code"), failed.get("error.type")), ("42P01", "42P01"));
    assert_eq!((inserted.status, failed.status), ("unset", "error"));
    assert!(!serde_json::to_string(&collector.spans()).unwrap().contains("s3cret"));
    host.stop().await;
}

#[tokio::test]
async fn jobs_of_a_batch_keep_their_traces_and_are_linked_with_the_call_that_they_share() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let shop = Receiver::start(vec![200; 2]).await;
    let plugins = plugins(&[&shop.origin()], "");
    let steps = json!([{"get": [authority(&shop), "/"]}]).to_string();
    let ids = database.enqueue_many("batch", 2, steps).await;
    let host = host(&database, &plugins, &collector.variables(), &[]).await;
    for id in &ids {
        database.wait_for(*id, "successful").await;
    }
    let (batch, call) = (collector.one("batch batch").await, collector.one("call batch").await);
    let (turns, requests) = (collector.wait_for("process batch", 2).await, collector.wait_for("GET", 2).await);
    assert_eq!((&*call.parent, call.trace.as_str()), (&*batch.id, batch.trace.as_str()));
    assert!(requests.iter().all(|request| request.parent == call.id && request.trace == batch.trace));
    let traces: BTreeSet<&str> = turns.iter().chain([&batch]).map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 3, "a trace for each job, and one for the call");
    let linked = |span: &Span| span.links.iter().map(|link| link.span.clone()).collect::<BTreeSet<String>>();
    assert_eq!(linked(&batch), turns.iter().map(|turn| turn.id.clone()).collect());
    for turn in &turns {
        assert_eq!(linked(turn), BTreeSet::from([call.id.clone()]));
        assert_eq!((turn.status, turn.parent.as_str()), ("ok", ""));
    }
    assert_eq!(batch.get("messaging.batch.message_count"), "2");
    host.stop().await;
}

#[tokio::test]
async fn an_instance_that_is_kept_has_a_new_trace_for_each_job_and_holds_back_none() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = plugins(&[], "");
    let host = host(&database, &plugins, &collector.variables(), &["--max-concurrent-tasks", "1"]).await;
    for count in 1..=3 {
        let id = database.enqueue("kept", json!([{"follow": ["nobody", ""]}]).to_string()).await;
        database.wait_for(id, "successful").await;
        // The trace of a job is there although its instance is.
        collector.wait_for("process kept", count).await;
    }
    let (instances, calls) = (collector.wait_for("instance", 3).await, collector.wait_for("call kept", 3).await);
    let fresh: Vec<&str> = instances.iter().map(|span| span.get("pgq_host.instance.fresh")).collect();
    // The first may be made anew once its optimised code is there.
    assert!(fresh[0] == "true" && fresh[2] == "false", "{fresh:?}");
    let traces: BTreeSet<&str> = calls.iter().map(|span| span.trace.as_str()).collect();
    assert_eq!(traces.len(), 3);
    for created in collector.wait_for("create nobody", 3).await {
        assert!(calls.iter().any(|call| call.id == created.parent && call.trace == created.trace));
    }
    host.stop().await;
}

#[tokio::test]
async fn claims_that_only_lock_are_traced_as_those_that_mark() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = Plugins::with(&["reuse"]);
    for claim in ["locked", "marked"] {
        let host = host(&database, &plugins, &collector.variables(), &["--claim", claim]).await;
        let ids = database.enqueue_many("noop_fresh", 20, "").await;
        for id in ids {
            database.wait_for(id, "successful").await;
        }
        host.stop().await;
    }
    let turns = collector.wait_for("process noop_fresh", 40).await;
    assert_eq!(turns.len(), 40, "everything was sent before the stop");
    let records = collector.wait_for("record noop_fresh", 40).await;
    for turn in &turns {
        let record = records.iter().find(|record| record.parent == turn.id).unwrap();
        assert_eq!((record.get("pgq_host.outcome.recorded"), turn.status), ("true", "ok"));
        assert!(turn.start < turn.end);
    }
    let claims = collector.wait_for("claim noop_fresh", 40).await;
    let of_claims: u32 =
        claims.iter().map(|span| span.get("messaging.batch.message_count").parse::<u32>().unwrap()).max().unwrap();
    assert!((1..=20).contains(&of_claims), "{of_claims}");
}

#[tokio::test]
async fn a_context_that_a_handler_passes_on_itself_is_left_alone() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let shop = Receiver::start(vec![200; 2]).await;
    let plugins = plugins(&[&shop.origin()], "[traces]\nurl-paths = true\n");
    let host = host(&database, &plugins, &collector.variables(), &[]).await;
    let own = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00";
    let steps = json!([
        {"get": [authority(&shop), "/", [["traceparent", own], ["tracestate", "mine=1"]]]},
        {"get": [authority(&shop), "/path?query"]},
        {"follow": ["nobody", "", ["otel", "mine"]]},
        {"follow": ["nobody", ""]},
    ]);
    let id = database.enqueue("order", steps.to_string()).await;
    database.wait_for(id, "successful").await;
    let requests = shop.requests();
    assert_eq!((header(&requests[0], "traceparent"), header(&requests[0], "tracestate")), (Some(own), Some("mine=1")));
    let spans = collector.wait_for("GET", 2).await;
    assert_eq!(header(&requests[1], "traceparent").map(|parent| parent[36..52].to_owned()), Some(spans[1].id.clone()));
    assert_eq!(spans[1].get("url.full"), format!("{}/path?REDACTED", shop.origin()));
    let headers: Vec<Value> =
        sqlx::query_scalar("SELECT headers FROM pgqueuer WHERE entrypoint = 'nobody' ORDER BY id")
            .fetch_all(database.pool())
            .await
            .unwrap();
    let created = collector.wait_for("create nobody", 2).await;
    assert_eq!(headers[0], json!({"otel": "mine"}));
    assert_eq!(headers[1]["otel"]["traceparent"], format!("00-{}-{}-01", created[1].trace, created[1].id));
    host.stop().await;
}
