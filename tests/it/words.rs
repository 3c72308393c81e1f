//! A failure that a handler reports in the words of its language, as exceptions are.

use pgq_host_tests::{Database, Host, Plugins};
use serde_json::{Value, json};

async fn said(database: &Database, entrypoint: &str, payload: Value) -> Value {
    let id = database.enqueue(entrypoint, payload.to_string()).await;
    database.wait_for(id, "failed").await;
    database.traceback(id).await
}

fn saying(kind: &str, message: &str, traceback: (&str, usize), end: &str) -> Value {
    json!({"kind": kind, "message": message, "traceback": traceback, "end": end})
}

#[tokio::test]
async fn the_traceback_has_the_languages_own_words_and_pgqueuers_six_keys() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let key_error = |end| saying("KeyError", "'name'", ("  File \"handler.py\", line 5, in hello\n", 1), end);
    for end in ["retry", "reject"] {
        let fault = said(&database, "say", key_error(end)).await;
        assert_eq!((&fault["exception_type"], &fault["exception_message"]), (&json!("KeyError"), &json!("'name'")));
        assert_eq!(fault["traceback"], "  File \"handler.py\", line 5, in hello\n");
        let mut keys: Vec<&str> = fault.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let six = ["additional_context", "exception_message", "exception_type", "job_id", "timestamp", "traceback"];
        assert_eq!(keys, six);
    }
    // A trap's own frames follow. What ran out or took too long has the host's words.
    let fault = said(&database, "say", key_error("panic")).await;
    assert_eq!((&fault["exception_type"], &fault["exception_message"]), (&json!("KeyError"), &json!("'name'")));
    let text = fault["traceback"].as_str().unwrap();
    assert!(text.starts_with("  File \"handler.py\"") && text.contains("of the panic"), "{text}");
    let fault = said(&database, "say", key_error("exit")).await;
    assert_eq!(fault["exception_type"], "KeyError");
    std::fs::write(plugins.config(), "[limits]\ntimeout = \"1s\"\n").unwrap();
    host.stop().await;
    let host = Host::start(&database, &plugins, &[]).await;
    let fault = said(&database, "say", key_error("loop")).await;
    assert_eq!(fault["exception_type"], "DeadlineExceeded");
    host.stop().await;
}

#[tokio::test]
async fn the_end_of_a_long_traceback_is_kept_and_the_last_report_counts() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let mut long = saying(&"K".repeat(1_000), &"m".repeat(50_000), ("one line of many\n", 6_000), "retry");
    long["times"] = 1_000.into();
    let fault = said(&database, "say", long).await;
    let text = |key: &str| fault[key].as_str().unwrap();
    assert_eq!((text("exception_type").len(), text("exception_message").len()), (256, 8 << 10));
    assert!(text("traceback").len() <= 16 << 10 && text("traceback").starts_with("one line of many\n"));
    // What is empty leaves what the outcome says, and no report leaves all of it.
    let fault = said(&database, "say", saying("", "", ("", 0), "retry")).await;
    assert_eq!((&fault["exception_type"], &fault["exception_message"]), (&json!("Retry"), &json!("of retry-info")));
    let mut none = saying("KeyError", "x", ("", 0), "reject");
    none["times"] = 0.into();
    let fault = said(&database, "say", none).await;
    assert_eq!((&fault["exception_type"], &fault["exception_message"]), (&json!("Reject"), &json!("of reject")));
    // A guest cannot speak for the host, nor write two lines where there is one.
    let fault = said(&database, "say", saying("WorkerLost", "x", ("", 0), "reject")).await;
    assert_eq!(fault["exception_type"], "guest WorkerLost");
    let fault = said(&database, "say", saying("Key\nError", "x\0y", ("", 0), "reject")).await;
    assert_eq!(fault["exception_type"], "Key\\nError");
    // A job that ends well after all has none.
    let id = database.enqueue("say", saying("KeyError", "x", ("", 0), "complete").to_string()).await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn what_failed_is_shown_as_kind_and_message() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("say", saying("KeyError", "'name'", ("in hello\n", 1), "retry").to_string()).await;
    database.wait_for(id, "failed").await;
    host.stop().await;
    let failed = database.cli_ok(&["failed"]).await.stdout;
    assert!(failed.contains("KeyError: 'name'"), "{failed}");
    let job = database.cli_ok(&["job", &id.to_string()]).await.stdout;
    assert!(job.contains("KeyError: 'name'") && job.contains("in hello"), "{job}");
}

#[tokio::test]
async fn a_thousand_exceptions_open_no_breaker_and_keep_the_instance() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "1"]).await;
    let saying = saying("ValueError", "no", ("in f\n", 3), "retry").to_string();
    for id in database.enqueue_many("say", 1_000, saying).await {
        database.wait_for(id, "failed").await;
    }
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_log WHERE traceback ->> 'exception_type' = 'ValueError'").await,
        1_000
    );
    let log = host.stop().await;
    assert!(!log.contains("run after run crashes"), "{log}");
}

#[tokio::test]
async fn each_job_of_a_batch_has_its_own_words() {
    let (database, plugins) = (Database::new().await, Plugins::compiled(&["words"]));
    let mut jobs = Vec::new();
    for n in 0..10 {
        let end = if n % 2 == 0 { "retry" } else { "complete" };
        let payload = saying(&format!("Error{n}"), &n.to_string(), ("", 0), end).to_string();
        jobs.push((n, database.enqueue("say_many", payload).await));
    }
    let host = Host::start(&database, &plugins, &[]).await;
    for (n, id) in jobs {
        database.wait_for(id, if n % 2 == 0 { "failed" } else { "successful" }).await;
        if n % 2 == 0 {
            assert_eq!(database.traceback(id).await["exception_type"], format!("Error{n}"));
        }
    }
    host.stop().await;
}
