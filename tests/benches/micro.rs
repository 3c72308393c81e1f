//! What a job costs, piece by piece: an instance and a call, a claim, an outcome. Run by `make
//! bench-micro`.
//!
//! The server is the tests' (without fsync), so that the work is measured and not the disk. Each
//! item is one job.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a benchmark that cannot go on ends, and says why")]

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use divan::Bencher;
use divan::counter::ItemsCount;
use pgq_engine::{self as wasm, AssignedJob, CallSpec, CodeCache, Control, Engine, EngineSettings, RunLimits};
use pgq_host_tests::{Database, guest};
use pgq_job::{Claim, Disposition, Job, Terminal, Verdict};
use pgq_queue::{Queue, Record};
use tokio::runtime::{Builder, Runtime};

const LIMITS: RunLimits = RunLimits { timeout: Duration::from_secs(60), memory: 64 << 20, max_attempts: 1 };

fn main() {
    divan::main();
}

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime"));

/// One run on the calling thread, with everything that a host does except for the queue.
fn run(bencher: Bencher, reuse: u32) {
    let engine = Engine::new(&EngineSettings {
        max_instances: 100,
        max_memory: LIMITS.memory,
        max_guest_memory: 1 << 30,
        compile_timeout: None,
    })
    .expect("an engine");
    let bytes = std::fs::read(guest("reuse")).expect("the guest");
    let plugin =
        RUNTIME.block_on(wasm::load(&engine, &CodeCache::disabled(), "reuse", &bytes, 0, &[], |_| Default::default()));
    let plugin = Arc::new(plugin.expect("a plugin"));
    let spec = CallSpec {
        plugin,
        entrypoint: Arc::from("noop_fresh"),
        limits: LIMITS,
        reuse,
        batched: false,
        kept_lines: 64 << 10,
        sql: None,
        trace: None,
    };
    let jobs = [AssignedJob { job: Arc::new(job()), control: Arc::new(Control::default()), trace: None }];
    bencher.counter(ItemsCount::new(1_u32)).bench_local(|| {
        let report = RUNTIME.block_on(wasm::run(&engine, &spec, &jobs));
        assert!(matches!(report.verdicts[..], [Verdict::Complete { .. }]), "{report:?}");
    });
}

/// A Rust guest with its standard library: creating an instance, calling it, and dropping it.
#[divan::bench]
fn fresh_instance_and_call(bencher: Bencher) {
    run(bencher, 1);
}

#[divan::bench]
fn call_of_a_kept_instance(bencher: Bencher) {
    run(bencher, u32::MAX);
}

fn job() -> Job {
    Job {
        id: 1,
        priority: 0,
        created_ms: 0,
        due: chrono::DateTime::UNIX_EPOCH,
        entrypoint: Arc::from("noop_fresh"),
        payload: Some(br#"{"name":"x"}"#.to_vec()),
        headers: None,
        attempts: 0,
        unread: None,
        share: None,
        claim: Claim { id: 1, at: chrono::DateTime::UNIX_EPOCH },
        suspicion: None,
    }
}

/// A database and its queue. Both live until the process ends.
fn queue() -> (&'static Database, Queue) {
    let database: &Database = Box::leak(Box::new(RUNTIME.block_on(Database::new())));
    (database, database.queue())
}

fn claim(queue: &Queue, jobs: usize) -> Vec<Job> {
    let claimed = RUNTIME.block_on(queue.claim(&[Arc::from("echo")], jobs)).expect("a claim");
    assert_eq!(claimed.len(), jobs);
    claimed.jobs
}

#[divan::bench(args = [1, 10, 100, 500], sample_size = 1)]
fn claim_of(bencher: Bencher, jobs: usize) {
    let (database, queue) = queue();
    let enqueue = || drop(RUNTIME.block_on(database.enqueue_many("echo", jobs, "x")));
    bencher.counter(ItemsCount::new(jobs)).with_inputs(enqueue).bench_local_values(|()| claim(&queue, jobs));
}

#[divan::bench(args = [1, 10, 100, 500], sample_size = 1)]
fn completion_of(bencher: Bencher, jobs: usize) {
    let (database, queue) = queue();
    let done =
        Disposition::Finished { status: Terminal::Successful, traceback: None, output: None, follow_ups: Vec::new() };
    let claimed = || {
        RUNTIME.block_on(database.enqueue_many("echo", jobs, "x"));
        let record = |job: Job| Record::new(job.claim, done.clone());
        claim(&queue, jobs).into_iter().map(record).collect::<Vec<_>>()
    };
    bencher.counter(ItemsCount::new(jobs)).with_inputs(claimed).bench_local_values(|records| {
        assert_eq!(RUNTIME.block_on(queue.record(&records)).expect("recorded").len(), jobs);
    });
}
