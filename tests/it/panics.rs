//! An injected bug in the host: what happens to the jobs that it affects.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use pgq_engine::guests::GuestRuntime;
use pgq_engine::{CodeCache, Engine, EngineSettings};
use pgq_host::capacity::Capacity;
use pgq_host::config::Config;
use pgq_host::executor::Executor;
use pgq_host::lease::Leases;
use pgq_host::plugins::Reread;
use pgq_host::reload::{self, Loader, Reload, Sources};
use pgq_host_tests::{Database, Plugins, eventually, run_command};
use pgq_job::{Claim, Disposition, Job};
use pgq_queue::Record;
use pgq_queue::boot_clock::BootInstant;
use serde_json::Value;
use tokio::process::Command;
use tokio::sync::mpsc;
use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber, span};

/// The bug affects jobs from this id on.
const UNLUCKY: i64 = 7_000_000;

/// Panics when the end of an unlucky job is logged: after the guest has returned, and before its
/// outcome is handed over.
struct Bug;

struct Unlucky(bool);

impl Visit for Unlucky {
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0 |= field.name() == "job.id" && value >= UNLUCKY;
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl Subscriber for Bug {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target().starts_with("pgq_host::executor")
    }

    fn event(&self, event: &Event<'_>) {
        let mut found = Unlucky(false);
        event.record(&mut found);
        assert!(!found.0, "on purpose");
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// One of the processes of the test below.
#[test]
#[ignore = "ends as a process that panics, for the test below"]
fn a_process_that_panics() {
    if std::env::var_os("PGQ_TEST_PANICS").is_none() {
        return;
    }
    pgq_host::logging::install("info", pgq_host::logging::Format::Json).unwrap();
    let panics = || panic!("on\npurpose");
    assert!(std::thread::Builder::new().name("control".into()).spawn(panics).unwrap().join().is_err());
    pgq_host::logging::fatal("the end");
}

#[tokio::test]
async fn a_panic_is_one_event_with_location_and_backtrace() {
    for backtrace in ["0", "1"] {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--exact", "panics::a_process_that_panics", "--ignored", "--nocapture"])
            .env("PGQ_TEST_PANICS", "1")
            .env("RUST_BACKTRACE", backtrace)
            .env_remove("RUST_LOG");
        let said = run_command(command).await;
        let events: Vec<Value> =
            said.stderr.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
        let [panic, end] = &events[..] else { panic!("{events:?}") };
        assert!(
            panic["level"] == "ERROR" && panic["message"].as_str().unwrap().ends_with("panicked: on\npurpose"),
            "{panic}"
        );
        assert!(
            panic["panic.location"].as_str().unwrap().contains("panics.rs:") && panic["panic.thread"] == "control",
            "{panic}"
        );
        let traced = panic["panic.backtrace"].as_str().is_some_and(|trace| trace.contains("a_process_that_panics"));
        assert_eq!(traced, backtrace == "1", "{panic}");
        assert_eq!(end["error"], "the end");
    }
}

fn job(id: i64, entrypoint: &str) -> Job {
    let at = DateTime::<Utc>::UNIX_EPOCH;
    Job {
        id,
        priority: 0,
        created_ms: 0,
        due: at,
        entrypoint: entrypoint.into(),
        payload: Some(b"x".to_vec()),
        headers: None,
        attempts: 0,
        suspicion: None,
        unread: None,
        share: None,
        claim: Claim { id, at },
    }
}

#[tokio::test]
async fn a_panic_at_the_end_of_a_run_costs_its_job_that_run_and_no_lease() {
    // Global for this process, but no other test has jobs with such ids, or a subscriber.
    tracing::subscriber::set_global_default(Bug).unwrap();
    let plugins = Plugins::with(&["hostile"]);
    let (config, path) = (plugins.config(), plugins.path().to_owned());
    let read = move || Ok(Config::load(Some(&config))?.folder(vec![path.clone()]));
    let rule = Config::load(Some(&plugins.config())).unwrap().breaker;
    let folder = read().unwrap();
    let settings = EngineSettings {
        max_instances: 10,
        max_memory: folder.caps.memory,
        max_guest_memory: 1 << 30,
        compile_timeout: None,
    };
    let engine = Engine::new(&settings).unwrap();
    let loader = Loader { engine: engine.clone(), cache: CodeCache::disabled() };
    let database = Database::new().await;
    let (link, _fleet) = reload::join(database.queue()).await;
    let (pauses, _keeper) = pgq_host::pauses::join(database.queue()).await.unwrap();
    let sources = Sources {
        folder,
        reread: Reread::by(read),
        rule,
        link,
        pauses,
        poke: Arc::default(),
        rescheduled: Arc::default(),
    };
    let (_reload, served) = Reload::start(sources, loader, None).await.unwrap();
    let (_threads, guests) = GuestRuntime::start().unwrap();
    let leases = Arc::new(Leases::default());
    let (sender, mut records) = mpsc::channel(16);
    let capacity = Capacity::new(4);
    let executor = Executor::new(
        engine,
        guests,
        database.queue(),
        Arc::clone(&capacity),
        Arc::clone(&leases),
        sender,
        pgq_sql::Sessions::new(database.queue(), None, 1),
    );
    let served = served.borrow().clone();

    executor.start(
        vec![job(UNLUCKY, "echo"), job(1, "echo"), job(UNLUCKY + 1, "nap_limited")],
        &served,
        BootInstant::now(),
    );
    let mut ended = Vec::new();
    for _ in 0..3 {
        let record: Record =
            tokio::time::timeout(Duration::from_secs(60), records.recv()).await.expect("each is concluded").unwrap();
        ended.push((record.claim.id, record));
    }
    ended.sort_by_key(|(id, _)| *id);
    assert!(matches!(ended[0].1.disposition, Disposition::Finished { .. }), "{ended:?}");
    for (id, record) in &ended[1..] {
        let Disposition::Again { counts: true, traceback: Some(traceback), .. } = &record.disposition else {
            panic!("{id}: {record:?}")
        };
        assert_eq!(traceback["exception_type"], "HostPanic", "{traceback}");
    }
    assert!(ended[2].1.limited.is_some(), "its slot is passed on");
    eventually("no call is left", async || capacity.active() == 0).await;
}
