//! What a run can make the host do and hold on its behalf: limited in bytes and time, however it
//! asks, and without its cooperation.

use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// A plugin without a loop, whose host calls follow each other in a straight line. The epoch that
/// interrupts guests is not checked between them.
struct StraightLine {
    /// The number of calls of `log.emit` in `describe`, and in the handler.
    calls: [usize; 2],
    /// The size of the message, and the number of fields, of each.
    each: (usize, usize),
    timeout_ms: usize,
}

impl StraightLine {
    fn component(&self) -> Vec<u8> {
        let (bytes, fields) = self.each;
        // The message starts after the fields. The fields are all empty, the message is all NUL.
        let from = 64 << 10;
        let emit = format!(
            "(call $emit (i32.const 1) (i32.const {from}) (i32.const {bytes}) (i32.const {from}) (i32.const {fields}))\n"
        );
        let pages = 2 + (from + bytes.max(fields * 16)) / (64 << 10);
        let text = STRAIGHT_LINE
            .replace("{pages}", &pages.to_string())
            .replace("{timeout}", &self.timeout_ms.to_string())
            .replace("{describe}", &emit.repeat(self.calls[0]))
            .replace("{handle}", &emit.repeat(self.calls[1]));
        wat::parse_str(text).unwrap()
    }
}

const STRAIGHT_LINE: &str = r#"
(component
  (import "pgq:plugin/jobs@0.1.0" (instance $jobs
    (export "job" (type $job (sub resource)))
    (type $outcome (variant (case "complete" (option (list u8))) (case "snooze" u64) (case "discard" string)))
    (export "outcome" (type (eq $outcome)))
    (type $retry (record (field "message" string) (field "after" (option u64))))
    (export "retry-info" (type $retry-info (eq $retry)))
    (type $failure (variant (case "retry" $retry-info) (case "reject" string)))
    (export "failure" (type (eq $failure)))))
  (import "pgq:plugin/registry@0.1.0" (instance $registry
    (export "registrar" (type $registrar (sub resource)))
    (export "entrypoint" (type $entrypoint (sub resource)))
    (export "[method]registrar.entrypoint" (func (param "self" (borrow $registrar)) (param "name" string) (result (own $entrypoint))))
    (export "[method]entrypoint.timeout" (func (param "self" (borrow $entrypoint)) (param "ms" u64)))
    (export "[method]entrypoint.max-attempts" (func (param "self" (borrow $entrypoint)) (param "attempts" u32)))))
  (import "pgq:plugin/log@0.1.0" (instance $log
    (type $levels (enum "trace" "debug" "info" "warn" "error"))
    (export "level" (type $level (eq $levels)))
    (export "emit" (func (param "level" $level) (param "message" string) (param "fields" (list (tuple string string)))))))
  (alias export $jobs "job" (type $job))
  (alias export $jobs "outcome" (type $outcome))
  (alias export $jobs "failure" (type $failure))
  (alias export $registry "registrar" (type $registrar))
  (alias export $registry "entrypoint" (type $entrypoint))

  (core module $heap
    (memory (export "memory") {pages})
    (func (export "realloc") (param i32 i32 i32 i32) (result i32) unreachable))
  (core instance $heap (instantiate $heap))
  (alias core export $heap "memory" (core memory $memory))
  (alias core export $heap "realloc" (core func $realloc))

  (core func $emit (canon lower (func $log "emit") (memory $memory)))
  (core func $add (canon lower (func $registry "[method]registrar.entrypoint") (memory $memory)))
  (core func $timeout (canon lower (func $registry "[method]entrypoint.timeout")))
  (core func $attempts (canon lower (func $registry "[method]entrypoint.max-attempts")))
  (core func $drop_job (canon resource.drop $job))
  (core func $drop_registrar (canon resource.drop $registrar))
  (core func $drop_entrypoint (canon resource.drop $entrypoint))

  (core module $main
    (import "heap" "memory" (memory 1))
    (import "host" "emit" (func $emit (param i32 i32 i32 i32 i32)))
    (import "host" "add" (func $add (param i32 i32 i32) (result i32)))
    (import "host" "timeout" (func $timeout (param i32 i64)))
    (import "host" "attempts" (func $attempts (param i32 i32)))
    (import "host" "drop_job" (func $drop_job (param i32)))
    (import "host" "drop_registrar" (func $drop_registrar (param i32)))
    (import "host" "drop_entrypoint" (func $drop_entrypoint (param i32)))
    (data (i32.const 0) "line")
    (func (export "register") (param $registrar i32) (result i32)
      (local $entrypoint i32)
      (local.set $entrypoint (call $add (local.get $registrar) (i32.const 0) (i32.const 4)))
      (call $timeout (local.get $entrypoint) (i64.const {timeout}))
      (call $attempts (local.get $entrypoint) (i32.const 1))
      (call $drop_entrypoint (local.get $entrypoint))
      (call $drop_registrar (local.get $registrar))
      {describe}
      (i32.const 64))
    (func (export "handle") (param $job i32) (result i32)
      (call $drop_job (local.get $job))
      {handle}
      (i32.const 64)))
  (core instance $main (instantiate $main
    (with "heap" (instance $heap))
    (with "host" (instance
      (export "emit" (func $emit))
      (export "add" (func $add))
      (export "timeout" (func $timeout))
      (export "attempts" (func $attempts))
      (export "drop_job" (func $drop_job))
      (export "drop_registrar" (func $drop_registrar))
      (export "drop_entrypoint" (func $drop_entrypoint))))))

  (func $register (param "registrar" (borrow $registrar)) (result (result (error string)))
    (canon lift (core func $main "register") (memory $memory) (realloc $realloc)))
  (func $handle (param "job" (borrow $job)) (result (result $outcome (error $failure)))
    (canon lift (core func $main "handle") (memory $memory) (realloc $realloc)))
  (instance $describe (export "register" (func $register)))
  (instance $handler (export "handle" (func $handle)))
  (export "pgq:plugin/describe@0.1.0" (instance $describe))
  (export "pgq:plugin/handler@0.1.0" (instance $handler)))
"#;

/// Two threads of each kind, as on a machine with two cores.
const TWO: &str = "2";

async fn fails(database: &Database, id: i64, exception_type: &str) -> String {
    database.wait_for(id, "failed").await;
    let traceback = database.traceback(id).await;
    assert_eq!(traceback["exception_type"], exception_type, "{traceback}");
    traceback["exception_message"].as_str().unwrap().to_owned()
}

async fn output(database: &Database, entrypoint: &str, payload: &str) -> String {
    let id = database.enqueue(entrypoint, payload).await;
    database.wait_for(id, "successful").await;
    database.output(id).await.unwrap()
}

#[tokio::test]
async fn a_call_copies_a_limited_number_of_bytes() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let line = StraightLine { calls: [0, 3_000], each: (60 << 20, 0), timeout_ms: 60_000 };
    plugins.write("line.wasm", line.component());
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("line", "").await;
    let message = fails(&database, id, "HostError").await;
    assert!(message.contains("more than 256 KiB"), "{message}");
    host.stop().await;
}

#[tokio::test]
async fn host_calls_in_a_straight_line_end_at_the_deadline_and_yield_to_others() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    // Minutes of work, if they were not interrupted.
    let line = StraightLine { calls: [0, 20_000], each: (64 << 10, 3_000), timeout_ms: 1_000 };
    plugins.write("line.wasm", line.component());
    let host = Host::spawn(&database, &plugins, &["--max-concurrent-tasks", "30"]);
    host.wait_for_log("ready").await;
    let lines =
        [database.enqueue("line", "").await, database.enqueue("line", "").await, database.enqueue("line", "").await];
    let began = Instant::now();
    database.enqueue_many("echo", 20, "good").await;
    database.wait_until_done().await;
    for id in lines {
        fails(&database, id, "DeadlineExceeded").await;
    }
    assert!(began.elapsed() < Duration::from_secs(30), "{:?}", began.elapsed());
    host.stop().await;
}

#[tokio::test]
async fn neither_start_nor_stop_waits_for_a_guest_that_never_yields() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let deaf = StraightLine { calls: [20_000, 0], each: (64 << 10, 3_000), timeout_ms: 1_000 };
    let line = StraightLine { calls: [0, 20_000], each: (64 << 10, 3_000), timeout_ms: 3_600_000 };
    plugins.write("deaf.wasm", deaf.component());
    plugins.write("line.wasm", line.component());
    let mut host = Host::spawn(&database, &plugins, &["--drain-timeout", "0.2", "--log-level", "debug"]);
    host.wait_for_log("ready").await;
    let log = host.log();
    let refused = log.lines().find(|line| line.contains("plugin refused") && line.contains("deaf.wasm")).expect(&log);
    assert!(refused.contains("DeadlineExceeded"), "{refused}");
    let id = database.enqueue("line", "").await;
    host.wait_for_log("run begins").await;
    let began = Instant::now();
    host.signal(Signal::TERM);
    let status = host.ended().await;
    assert!(status.success(), "{}", host.log());
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    // Interrupted rather than failed: it is due again, and the attempt does not count.
    assert_eq!(
        database.count(&format!("SELECT attempts::bigint FROM pgqueuer WHERE id = {id} AND status = 'queued'")).await,
        0
    );
}

#[tokio::test]
async fn what_the_host_holds_for_a_run_counts_as_its_memory() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy"]));
    plugins.write("pgq-host.toml", "[circuit-breaker]\ncrashes = 0\n[plugins.greedy]\nenqueue = [\"*\"]\n");
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", TWO]).await;
    for entrypoint in ["payloads", "dedupe_keys", "names", "headers", "fields", "methods", "bodies"] {
        let ids = [database.enqueue(entrypoint, "").await, database.enqueue(entrypoint, "").await];
        for id in ids {
            let message = fails(&database, id, "OutOfMemory").await;
            assert!(message.contains("64 MiB"), "{entrypoint}: {message}");
        }
    }
    // Two runs at a time with 64 MiB each, the host itself, and what the allocator keeps.
    eprintln!("at most {} MiB, {} MiB at the end", peak_bytes(&host) >> 20, host.resident_bytes() >> 20);
    assert!(peak_bytes(&host) < 640 << 20, "the host had {} MiB", peak_bytes(&host) >> 20);
    host.wait_for_memory_below(384 << 20).await;
    host.stop().await;
}

/// The highest resident memory so far.
fn peak_bytes(host: &Host) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", host.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn runs_that_do_not_fit_together_wait_and_none_is_charged() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy"]));
    let host = Host::start(&database, &plugins, &["--max-guest-memory", "128MiB"]).await;
    // Each needs more than half.
    let ids: Vec<i64> = {
        let mut ids = Vec::new();
        for _ in 0..12 {
            ids.push(database.enqueue("hold", "[70, 50]").await);
        }
        ids
    };
    database.wait_until_done().await;
    for id in ids {
        assert_eq!(database.output(id).await.as_deref(), Some("73400320"));
        assert!(!database.history(id).await.contains(&"exception".to_owned()));
    }
    // One that would not fit even alone runs out of memory, like any other.
    let id = database.enqueue("hold", "[150, 0]").await;
    eventually("it has failed once", async || {
        database.count(&format!("SELECT attempts::bigint FROM pgqueuer WHERE id = {id}")).await >= 1
    })
    .await;
    assert!(host.log().contains("128 MiB"), "{}", host.log());
    host.stop().await;
}

#[tokio::test]
async fn memory_goes_back_to_the_system_when_runs_end() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy"]));
    let host = Host::start(&database, &plugins, &["--max-guest-memory", "2GiB"]).await;
    database.enqueue_many("hold", 4, "[150, 1000]").await;
    database.wait_until_done().await;
    assert!(peak_bytes(&host) > 300 << 20, "at least two at a time");
    host.wait_for_memory_below(256 << 20).await;
    host.stop().await;
}

#[tokio::test]
async fn a_runs_open_files_are_limited_and_a_fifo_is_not_a_file() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy"]));
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("file"), "text").unwrap();
    let fifo = folder.path().join("fifo");
    assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    plugins.write(
        "pgq-host.toml",
        format!("[plugins.greedy]\ndirectories.\"/data\" = {:?}\n", folder.path().to_str().unwrap()),
    );
    let host = Host::start(&database, &plugins, &[]).await;
    let open = || std::fs::read_dir(format!("/proc/{}/fd", host.pid())).unwrap().count();
    let threads = || std::fs::read_dir(format!("/proc/{}/task", host.pid())).unwrap().count();
    // What was closed can be opened again.
    assert_eq!(output(&database, "open_files", "/data/file").await, "64 64");
    assert!(output(&database, "open_streams", "file").await.parse::<usize>().unwrap() <= 64);
    assert_eq!(output(&database, "read", "/data/file").await, "text");
    eventually("all of them are closed", async || open() < 100).await;
    let before = threads();
    for _ in 0..20 {
        assert_eq!(output(&database, "read", "/data/fifo").await, "PermissionDenied");
    }
    assert!(threads() < before + 15, "{before} threads became {}", threads());
    host.stop().await;
}

#[tokio::test]
async fn a_runs_connections_are_limited_and_the_host_keeps_its_own() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy", "hostile"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    plugins.write("pgq-host.toml", format!("[plugins.greedy]\nhttp = [\"http://{authority}\"]\n"));
    // Accepts every connection, and answers nobody.
    let taken = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&taken);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            all.lock().unwrap().push(stream);
        }
    });
    let host = Host::start(&database, &plugins, &[]).await;
    database.enqueue_many("ask_often", 5, authority.as_str()).await;
    database.wait_until_done().await;
    // The rest of the five hundred waited for one of these to end, and were cancelled with their
    // run, a few of them a moment too late.
    let taken = taken.lock().unwrap().len();
    assert!((5 * 16..200).contains(&taken), "{taken}");
    assert_eq!(output(&database, "echo", "good").await, "good");
    host.stop().await;
}

#[tokio::test]
async fn a_log_line_counts_all_bytes_that_the_host_writes_and_stays_one_line() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy"]));
    let host = Host::start(&database, &plugins, &[]).await;
    for entrypoint in ["empty_lines", "forge", "long_message"] {
        assert_eq!(output(&database, entrypoint, "").await, "said");
    }
    let log = host.stop().await;
    assert!(log.contains("more than 1 MiB"), "the flood is cut off, and said so");
    assert!(log.len() < 3 << 20, "the host's log has {} bytes", log.len());
    let forged: Vec<&str> = log.lines().filter(|line| line.contains("forged")).collect();
    assert_eq!(forged.len(), 2, "{forged:?}");
    assert!(
        forged
            .iter()
            .all(|line| line.contains("job.id=") && !line.starts_with("2026-01-01T") && !line.contains("\u{1b}[2J")),
        "{forged:?}"
    );
    assert!(!log.contains(" end"), "a message of 200 KiB is cut");
}

#[tokio::test]
async fn a_request_becomes_invalid_with_the_call_that_made_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["greedy"]));
    plugins.write("pgq-host.toml", "[plugins.greedy]\nenqueue = [\"*\"]\n");
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "1"]).await;
    assert_eq!(output(&database, "keep_request", "").await, "None");
    for _ in 0..3 {
        let refused = output(&database, "keep_request", "").await;
        assert!(refused.contains("another job"), "{refused}");
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer WHERE entrypoint = 'echo'").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn endless_interim_responses_are_soon_an_error() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["capabilities"]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let authority = listener.local_addr().unwrap().to_string();
    plugins.write("pgq-host.toml", format!("[plugins.capabilities]\nhttp = [\"http://{authority}\"]\n"));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 4096]).await;
                let flood = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1_000);
                while stream.write_all(&flood).await.is_ok() {}
            });
        }
    });
    let host = Host::start(&database, &plugins, &[]).await;
    let began = Instant::now();
    let call = format!(r#"{{"method": "GET", "scheme": "http", "authority": "{authority}", "path": "/"}}"#);
    let answer = output(&database, "fetch", &call).await;
    assert!(answer.contains("ErrorCode"), "{answer}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let call = call.replace("GET", "connect");
    assert_eq!(output(&database, "fetch", &call).await, "ErrorCode::HttpRequestDenied");
    host.stop().await;
}

#[tokio::test]
async fn half_sent_requests_do_not_keep_the_pages_from_a_probe() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let pages = Pages::anywhere();
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    let mut halves = Vec::new();
    for _ in 0..100 {
        let mut half = TcpStream::connect(pages.address()).unwrap();
        half.write_all(b"GET /healthz HTTP/1.1\r\nhost: a\r\nx-").unwrap();
        halves.push(half);
    }
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(pages.get("/healthz").0, 200);
        assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    }
    host.stop().await;
}
