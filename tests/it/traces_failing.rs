//! Traces of runs that fail, and what becomes of traces when the collector does.

use std::path::Path;
use std::time::Instant;

use pgq_host_tests::{
    Authority, Collector, Database, Link, Otlp, Pages, Plugins, Receiver, Span, eventually, host_binary, run_command,
};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;
use uuid::Uuid;

use super::traces::{host, plugins};

fn with(collector: &Collector, more: &[(&'static str, &str)]) -> Vec<(&'static str, String)> {
    let mut variables = collector.variables();
    variables.extend(more.iter().map(|(name, value)| (*name, (*value).to_owned())));
    variables
}

const OFF: (&str, &str) = ("OTEL_TRACES_SAMPLER", "always_off");

#[tokio::test]
async fn runs_that_fail_or_are_slow_are_kept_although_nothing_is_sampled() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = plugins(&[], "");
    let host = host(&database, &plugins, &with(&collector, &[OFF]), &["--trace-slow", "0.3"]).await;
    let fine = database.enqueue_many("order", 5, "[]").await;
    let slow = database.enqueue("mail", json!([{"sleep": 400}]).to_string()).await;
    let panics = database.enqueue("kept", json!([{"panic": "asked for"}]).to_string()).await;
    for id in fine.into_iter().chain([slow]) {
        database.wait_for(id, "successful").await;
    }
    database.wait_for(panics, "failed").await;
    let failed = collector.wait_for("process kept", 3).await;
    let slow = collector.one("process mail").await;
    host.stop().await;
    assert!(collector.spans().iter().all(|span| !span.name.ends_with("order")), "{:#?}", collector.spans());
    assert_eq!((slow.get("pgq_host.kept"), slow.sampled, slow.status), ("slow", false, "ok"));
    for turn in &failed {
        assert_eq!((turn.get("pgq_host.kept"), turn.get("error.type"), turn.status), ("failed", "Trap", "error"));
        assert!(turn.message.contains("asked for") && turn.events == ["exception"], "{turn:#?}");
    }
    let outcomes: Vec<&str> = failed.iter().map(|turn| turn.get("pgq_host.outcome")).collect();
    assert_eq!(outcomes, ["retry", "retry", "hold"]);
}

#[tokio::test]
async fn a_batch_that_crashed_is_kept_although_its_jobs_run_again_one_by_one() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = plugins(&[], "");
    let bad = database.enqueue("batch", json!([{"panic": "asked for"}]).to_string()).await;
    let good = database.enqueue("batch", "[]").await;
    let host = host(&database, &plugins, &with(&collector, &[OFF]), &[]).await;
    database.wait_for(good, "successful").await;
    database.wait_for(bad, "failed").await;
    let batch = collector.one("batch batch").await;
    let turns = collector.wait_for("process batch", 3).await;
    host.stop().await;
    assert_eq!((batch.status, batch.links.len()), ("error", 2));
    let call = collector.spans().into_iter().find(|span| span.parent == batch.id && span.name == "call batch").unwrap();
    assert!(turns[0].links.iter().any(|link| link.what == "batch" && link.span == call.id), "{:#?}", turns[0]);
    assert!(turns.iter().all(|turn| turn.get("messaging.message.id") == bad.to_string()), "{turns:#?}");
}

#[tokio::test]
async fn a_producers_decision_is_followed_unless_the_sampler_says_otherwise() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = Plugins::with(&["reuse"]);
    let (sampled, unsampled) = ("4bf92f3577b34da6a3ce929d0e0e4736", "aaf92f3577b34da6a3ce929d0e0e4736");
    let enqueue = async || {
        let mut ids: Vec<i64> = Vec::new();
        for (trace, flags) in [(sampled, "01"), (unsampled, "00")] {
            let sql = format!(
                "INSERT INTO pgqueuer (priority, entrypoint, payload, status, headers) VALUES (0, 'noop_fresh', '', 'queued',
                 '{{\"otel\": {{\"traceparent\": \"00-{trace}-00f067aa0ba902b7-{flags}\", \"tracestate\": \"a=1\"}}}}') RETURNING id"
            );
            ids.push(database.count(&sql).await);
        }
        for id in ids {
            database.wait_for(id, "successful").await;
        }
    };
    for (sampler, kept) in [
        ("parentbased_always_off", &[sampled][..]),
        ("parentbased_always_on", &[sampled]),
        ("always_on", &[sampled, unsampled]),
        ("always_off", &[]),
    ] {
        let before = collector.spans().len();
        let host = host(&database, &plugins, &with(&collector, &[("OTEL_TRACES_SAMPLER", sampler)]), &[]).await;
        enqueue().await;
        // Everything is sent before the end.
        host.stop().await;
        let turns: Vec<_> = collector.spans().split_off(before);
        let turns: Vec<_> = turns.iter().filter(|span| span.name == "process noop_fresh").collect();
        let mut traces: Vec<&str> = turns.iter().map(|span| span.trace.as_str()).collect();
        traces.sort_unstable();
        assert_eq!(traces, kept, "{sampler}");
        assert!(turns.iter().all(|span| span.parent == "00f067aa0ba902b7" && span.sampled), "{turns:#?}");
    }
}

#[tokio::test]
async fn each_turn_is_linked_to_the_one_before_even_after_it_was_held() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = plugins(&[], "");
    let host = host(&database, &plugins, &collector.variables(), &[]).await;
    let id = database.enqueue("order", json!([{"fail-up-to": 3}]).to_string()).await;
    database.wait_for(id, "failed").await;
    let first = collector.wait_for("process order", 3).await;
    // The operator has it run again, and it succeeds as the first attempt of that round would not.
    database.execute(&format!("UPDATE pgqueuer SET payload = '[]' WHERE id = {id}")).await;
    let requeued = database.run_cli(&["requeue", &id.to_string()]).await;
    assert_eq!(requeued.code, 0, "{}", requeued.stderr);
    database.wait_for(id, "successful").await;
    let turns = collector.wait_for("process order", 4).await;
    assert_eq!(turns[0].id, first[0].id);
    assert!(turns[0].links.is_empty() && turns.iter().all(|turn| turn.trace == turns[0].trace));
    for pair in turns.windows(2) {
        let what = "previous turn".to_owned();
        assert_eq!(pair[1].links, [Link { trace: pair[0].trace.clone(), span: pair[0].id.clone(), what }]);
    }
    let attempts: Vec<&str> = turns.iter().map(|turn| turn.get("pgq_host.job.attempt")).collect();
    assert_eq!(attempts, ["1", "2", "3", "1"]);
    host.stop().await;
}

/// What a host knows of a turn dies with it. Whoever puts the job back tells what the queue has of it.
#[tokio::test]
async fn a_turn_whose_host_was_killed_is_told_by_the_host_that_takes_over_and_linked_to_the_next() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = plugins(&[], "");
    // Nothing is sampled: a turn that is lost is kept as one that failed.
    let variables = with(&collector, &[OFF]);
    let dying = host(&database, &plugins, &variables, &[]).await;
    let (trace, producer) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    // One of a producer that is traced, one of another; both run for longer than a claim that only locks.
    let traced = format!("'{{\"otel\": {{\"traceparent\": \"00-{trace}-{producer}-00\"}}, \"tenant\": 7}}'");
    let mut ids = Vec::new();
    for headers in [traced.as_str(), "NULL"] {
        let insert = format!(
            "INSERT INTO pgqueuer (priority, entrypoint, payload, status, headers)
             VALUES (0, 'order', '[{{\"sleep\": 20000}}]', 'queued', {headers}::jsonb) RETURNING id"
        );
        ids.push(database.count(&insert).await);
    }
    let running = "SELECT count(*) FROM pgqueuer WHERE status = 'picked' AND updated < now() - interval '100 ms'";
    eventually("both run", async || database.count(running).await == 2).await;
    let worker: Uuid = sqlx::query_scalar("SELECT id FROM pgqueuer_host").fetch_one(database.pool()).await.unwrap();
    // So that the next turn does not sleep, but fails, and is kept too.
    database.cli_ok(&["pause", "--entrypoint", "order", "--reason", "a test"]).await;
    let heir = host(&database, &plugins, &variables, &[]).await;
    dying.kill().await;
    let lost = collector.wait_for("process order", 2).await;
    database.execute("UPDATE pgqueuer SET payload = '[{\"fail\": \"asked for\"}]'").await;
    database.cli_ok(&["resume", "--entrypoint", "order"]).await;
    for id in &ids {
        database.wait_for(*id, "failed").await;
    }
    heir.stop().await;
    let of = |id: i64| -> Vec<Span> {
        let mut turns: Vec<Span> = collector.spans();
        turns.retain(|span| span.name == "process order" && span.get("messaging.message.id") == id.to_string());
        turns.sort_by_key(|span| span.start);
        turns
    };
    for (id, parent) in [(ids[0], producer), (ids[1], "")] {
        let turns = of(id);
        let first = &turns[0];
        assert!(lost.iter().any(|span| span.id == first.id), "{turns:#?}");
        assert_eq!((first.get("pgq_host.outcome"), first.get("error.type")), ("lose", "WorkerLost"));
        assert_eq!((first.parent.as_str(), first.status, first.get("pgq_host.kept")), (parent, "error", "failed"));
        assert_eq!(first.get("pgq_host.worker.lost"), worker.to_string());
        assert!(first.message.contains(&worker.to_string()) && first.start < first.end, "{first:#?}");
        // Each turn is linked to the one before, in one trace.
        for pair in turns.windows(2) {
            let link = Link { trace: pair[0].trace.clone(), span: pair[0].id.clone(), what: "previous turn".into() };
            assert_eq!((&pair[1].trace, &pair[1].links), (&pair[0].trace, &vec![link]), "{turns:#?}");
        }
        assert!(turns.len() >= 3, "{turns:#?}");
    }
    assert_eq!(of(ids[0])[0].trace, trace);
    let tenant = format!("SELECT (headers ->> 'tenant')::bigint FROM pgqueuer WHERE id = {}", ids[0]);
    assert_eq!(database.count(&tenant).await, 7, "what was there stays");
}

#[tokio::test]
async fn what_is_put_back_keeps_its_headers_and_what_is_not_kept_leaves_no_mark() {
    let (database, collector) = (Database::new().await, Collector::start(Otlp::Http).await);
    let plugins = plugins(&[], "");
    for headers in ["'{\"a\": [1, {\"b\": 2}], \"otel\": {\"baggage\": \"c=d\"}}'", "NULL", "'null'", "'[1]'"] {
        database
            .execute(&format!(
                "INSERT INTO pgqueuer (priority, entrypoint, payload, status, headers)
                 VALUES (0, 'order', '[{{\"fail\": \"asked for\"}}]', 'queued', {headers}::jsonb)"
            ))
            .await;
    }
    let headers = async || -> Vec<Option<Value>> {
        sqlx::query_scalar("SELECT headers FROM pgqueuer WHERE status = 'failed' ORDER BY id")
            .fetch_all(database.pool())
            .await
            .unwrap()
    };
    let host = host(&database, &plugins, &collector.variables(), &[]).await;
    eventually("all are held", async || headers().await.len() == 4).await;
    let last = |turn: &str| turn.split('-').nth(2).unwrap_or_default().to_owned();
    let kept = headers().await;
    let of_first = kept[0].as_ref().unwrap();
    assert_eq!((&of_first["a"], &of_first["otel"]), (&json!([1, {"b": 2}]), &json!({"baggage": "c=d"})));
    assert_eq!(kept[3], Some(json!([1])), "there is no place for it");
    let turns = collector.wait_for("process order", 12).await;
    for headers in &kept[..3] {
        let previous = headers.as_ref().unwrap()["pgq-host"]["previous"].as_str().unwrap();
        let turn = turns.iter().find(|turn| turn.id == last(previous)).unwrap();
        assert_eq!(turn.get("pgq_host.outcome"), "hold");
    }
    host.stop().await;
    let host =
        super::traces::host(&database, &plugins, &with(&collector, &[OFF, ("OTEL_PROPAGATORS", "none")]), &[]).await;
    let snoozed = database.enqueue("mail", json!(["snooze"]).to_string()).await;
    eventually("it is put back", async || {
        database
            .count(&format!("SELECT count(*) FROM pgqueuer_log WHERE job_id = {snoozed} AND status = 'queued'"))
            .await
            > 2
    })
    .await;
    assert_eq!(
        database.count(&format!("SELECT count(*) FROM pgqueuer WHERE id = {snoozed} AND headers = 'null'")).await,
        1
    );
    host.stop().await;
}

#[tokio::test]
async fn a_collector_that_is_down_or_silent_delays_no_job_and_no_stop() {
    let database = Database::new().await;
    let plugins = Plugins::with(&["reuse"]);
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_port = silent.local_addr().unwrap().port();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    for (port, protocol) in
        [(silent_port, "http/protobuf"), (silent_port, "grpc"), (closed, "http/protobuf"), (closed, "grpc")]
    {
        let pages = Pages::anywhere();
        let variables = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}")),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol.to_owned()),
            ("OTEL_BSP_SCHEDULE_DELAY", "20".to_owned()),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "600".to_owned()),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "600000".to_owned()),
            ("OTEL_BSP_EXPORT_TIMEOUT", "600000".to_owned()),
        ];
        let host = host(&database, &plugins, &variables, &["--listen", &pages.address()]).await;
        let ids = database.enqueue_many("noop_fresh", 500, "").await;
        for id in ids {
            database.wait_for(id, "successful").await;
        }
        // 500 runs have 3,000 spans, and 600 may wait.
        eventually("spans are dropped and counted", async || {
            let page = pages.get("/metrics").1;
            let dropped: f64 = page
                .lines()
                .filter(|line| line.starts_with("pgq_host_spans_dropped_total{"))
                .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
                .sum();
            dropped > 1_000.0
        })
        .await;
        let stopping = Instant::now();
        let log = host.stop().await;
        assert!(stopping.elapsed().as_secs() < 15, "{protocol}: {:?}\n{log}", stopping.elapsed());
    }
    drop(silent);
}

#[tokio::test]
async fn spans_go_over_tls_to_whom_the_certificate_says_and_to_nobody_else() {
    let database = Database::new().await;
    let plugins = Plugins::with(&["reuse"]);
    let authority = Authority::new("collector");
    let root = authority.root();
    for otlp in [Otlp::Http, Otlp::Grpc] {
        let collector = Collector::encrypted(otlp, &authority).await;
        let trusting = [
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", root.to_str().unwrap()),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=seven"),
            ("OTEL_SERVICE_NAME", "jobs"),
            ("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test"),
        ];
        let trusting = host(&database, &plugins, &with(&collector, &trusting), &[]).await;
        let id = database.enqueue("noop_fresh", "").await;
        database.wait_for(id, "successful").await;
        assert_eq!(collector.one("process noop_fresh").await.service, "jobs");
        assert!(collector.was_sent("x-tenant: seven"));
        trusting.stop().await;
        let stranger = host(&database, &plugins, &collector.variables(), &[]).await;
        let id = database.enqueue("noop_kept", "").await;
        database.wait_for(id, "successful").await;
        stranger.wait_for_log("spans cannot be exported").await;
        let log = stranger.stop().await;
        assert!(log.contains("invalid peer certificate: UnknownIssuer"), "{otlp:?} does not say why: {log}");
        assert!(collector.spans().iter().all(|span| !span.name.ends_with("noop_kept")));
    }
}

/// A collector that asks for certificates gets that of the variables. Jobs go on where it is the wrong one.
#[tokio::test]
async fn a_collector_that_asks_who_it_is_gets_the_certificate_of_the_variables() {
    let database = Database::new().await;
    let plugins = Plugins::with(&["reuse"]);
    let (authority, clients) = (Authority::new("collector"), Authority::new("clients"));
    let root = authority.root();
    let (certificate, key) = clients.sign("host", &[]);
    let (other_certificate, other_key) = authority.sign("host", &[]);
    let variables = |certificate: &'static str, key: &'static str, both: (&Path, &Path)| {
        vec![
            ("OTEL_EXPORTER_OTLP_CERTIFICATE", root.to_str().unwrap().to_owned()),
            (certificate, both.0.to_str().unwrap().to_owned()),
            (key, both.1.to_str().unwrap().to_owned()),
        ]
    };
    const OF_ALL: [&str; 2] = ["OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_KEY"];
    const OF_TRACES: [&str; 2] =
        ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY"];
    for (otlp, names) in [(Otlp::Http, OF_ALL), (Otlp::Grpc, OF_ALL), (Otlp::Grpc, OF_TRACES)] {
        let collector = Collector::mutual(otlp, &authority, &clients).await;
        let both = |both| [collector.variables(), variables(names[0], names[1], both)].concat();
        let known = host(&database, &plugins, &both((&certificate, &key)), &[]).await;
        let id = database.enqueue("noop_fresh", "").await;
        database.wait_for(id, "successful").await;
        assert_eq!(collector.one("process noop_fresh").await.get("messaging.message.id"), id.to_string());
        known.stop().await;

        let nobody = with(&collector, &[("OTEL_EXPORTER_OTLP_CERTIFICATE", root.to_str().unwrap())]);
        for (whose, variables) in
            [("nobody's", nobody), ("another authority's", both((&other_certificate, &other_key)))]
        {
            let stranger = host(&database, &plugins, &variables, &[]).await;
            let id = database.enqueue("noop_kept", "").await;
            database.wait_for(id, "successful").await;
            stranger.wait_for_log("spans cannot be exported").await;
            let log = stranger.stop().await;
            let why = if otlp == Otlp::Http { "received fatal alert" } else { "transport error" };
            assert!(log.contains(why), "{otlp:?}, {whose}: the log does not say why: {log}");
        }
        assert!(collector.spans().iter().all(|span| !span.name.ends_with("noop_kept")));
    }

    // What can be known before anything is sent ends the start, together with all other mistakes.
    let empty = plugins.path().join("empty.pem");
    std::fs::write(&empty, "no certificate").unwrap();
    for (both, wanted) in [
        ((certificate.as_path(), other_key.as_path()), "OTEL_EXPORTER_OTLP_CLIENT_KEY: the key in"),
        ((empty.as_path(), key.as_path()), "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE: the file"),
        ((certificate.as_path(), empty.as_path()), "has no private key in PEM"),
        ((certificate.as_path(), Path::new("/nowhere/key.pem")), "the file /nowhere/key.pem cannot be read"),
    ] {
        let mut command = Command::new(host_binary());
        command.args(["run", "--plugins"]).arg(plugins.path()).env("PGDSN", database.dsn());
        command.env("OTEL_TRACES_EXPORTER", "otlp").env("OTEL_BSP_SCHEDULE_DELAY", "soon");
        command.envs(variables(OF_ALL[0], OF_ALL[1], both));
        let said = run_command(command).await;
        assert!(said.code == 2 && said.stderr.contains(wanted) && said.stderr.contains("\"soon\""), "{said:?}");
    }
}

#[tokio::test]
async fn without_a_collector_nobody_is_told_of_traces_and_mistakes_are_named() {
    let database = Database::new().await;
    let shop = Receiver::start(vec![200]).await;
    let plugins = plugins(&[&shop.origin()], "");
    let disabled =
        [("OTEL_SDK_DISABLED", "true".to_owned()), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1".to_owned())];
    let host = host(&database, &plugins, &disabled, &["--log-format", "json"]).await;
    let steps =
        json!([{"say": "a line"}, {"get": [shop.origin().replace("http://", ""), "/"]}, {"follow": ["nobody", ""]}]);
    let id = database.enqueue("order", steps.to_string()).await;
    database.wait_for(id, "successful").await;
    assert!(!shop.requests()[0].contains("traceparent"), "{}", shop.requests()[0]);
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer WHERE headers = 'null' AND entrypoint = 'nobody'").await,
        1
    );
    let log = host.stop().await;
    assert!(log.contains("a line") && !log.contains("trace_id"), "{log}");

    let mut command = std::process::Command::new(pgq_host_tests::host_binary());
    command.args(["run", "--plugins"]).arg(plugins.path()).env("PGDSN", database.dsn());
    command
        .env("OTEL_TRACES_EXPORTER", "otlp")
        .env("OTEL_TRACES_SAMPLER", "sometimes")
        .env("OTEL_BSP_SCHEDULE_DELAY", "soon");
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    for part in ["OTEL_TRACES_SAMPLER is \"sometimes\"; use always_on", "OTEL_BSP_SCHEDULE_DELAY is \"soon\""] {
        assert!(error.contains(part), "{part}: {error}");
    }
}
