//! The host's log: what happens if nobody reads it, and what nobody can make it say.

use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use pgq_host_tests::{Database, Host, Pages, Plugins, eventually, host_binary, pgq_host, python, run_command};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdout, Command};

/// A host with this stderr, ready to claim.
async fn started(database: &Database, plugins: &Plugins, pages: &Pages, stderr: Stdio) -> Child {
    let mut command = run(database, plugins);
    let child = command.args(["--listen", &pages.address()]).stderr(stderr).spawn().unwrap();
    eventually("it is ready", async || pages.get("/readyz").0 == 200).await;
    child
}

fn run(database: &Database, plugins: &Plugins) -> Command {
    let mut command = pgq_host(&database.dsn());
    command
        .arg("run")
        .arg("--plugins")
        .arg(plugins.path())
        .env("PGQ_HOST_CONFIG", plugins.config())
        .stdin(Stdio::null());
    command
}

fn signal(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(i32::try_from(pid).unwrap()).unwrap(), signal).unwrap();
}

async fn stopped(mut host: Child) -> ExitStatus {
    signal(host.id().unwrap(), Signal::TERM);
    tokio::time::timeout(Duration::from_secs(60), host.wait()).await.expect("it ends").unwrap()
}

/// Run jobs whose guest logs and whose end is logged. All of them must end.
async fn jobs_that_log(database: &Database) {
    let naps = database.enqueue_many("nap", 20, "1").await;
    let fails = database.enqueue_many("says", 20, "said to nobody").await;
    for id in naps {
        database.wait_for(id, "successful").await;
    }
    for id in fails {
        database.wait_for(id, "failed").await;
    }
}

#[tokio::test]
async fn jobs_run_and_a_stop_is_orderly_where_stderr_is_full() {
    let (database, plugins, pages) = (Database::new().await, Plugins::with(&["hostile"]), Pages::anywhere());
    let full = File::options().write(true).open("/dev/full").unwrap();
    let host = started(&database, &plugins, &pages, full.into()).await;
    jobs_that_log(&database).await;
    assert_eq!(stopped(host).await.code(), Some(0));
    // The exit code still reports an error that ends the process.
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut nowhere = pgq_host(&database.dsn());
    let status = nowhere.args(["run", "--plugins", "/nowhere"]).stderr(full).status().await.unwrap();
    assert_eq!(status.code(), Some(1));
}

#[tokio::test]
async fn jobs_run_and_a_stop_is_orderly_where_the_reader_is_gone() {
    let (database, plugins, pages) = (Database::new().await, Plugins::with(&["hostile"]), Pages::anywhere());
    let mut host = started(&database, &plugins, &pages, Stdio::piped()).await;
    drop(host.stderr.take());
    jobs_that_log(&database).await;
    assert_eq!(pages.get("/healthz").0, 200);
    assert_eq!(stopped(host).await.code(), Some(0));
}

#[tokio::test]
async fn jobs_run_while_nobody_reads_the_log_and_it_says_later_what_is_missing() {
    let (database, plugins, pages) = (Database::new().await, Plugins::with(&["hostile"]), Pages::anywhere());
    let mut host = started(&database, &plugins, &pages, Stdio::piped()).await;
    // Far more than a pipe and the queue can hold.
    let dropped = || {
        pages
            .get("/metrics")
            .1
            .lines()
            .find_map(|line| line.strip_prefix("pgq_host_log_lines_dropped_total ")?.parse::<f64>().ok())
    };
    assert_eq!(dropped(), Some(0.0), "it is counted from the start");
    let mut flooded = 0;
    while dropped() == Some(0.0) {
        assert!(flooded < 100, "the queue is never full");
        let id = database.enqueue("log_flood", "").await;
        database.wait_for(id, "successful").await;
        flooded += 1;
    }
    jobs_that_log(&database).await;
    assert_eq!(pages.get("/healthz").0, 200);
    let mut lines = BufReader::new(host.stderr.take().unwrap()).lines();
    let missing = loop {
        let line = lines.next_line().await.unwrap().expect("it is said");
        if let Some((_, rest)) = line.split_once("log lines were dropped") {
            break rest.rsplit_once("lines=").unwrap().1.parse::<f64>().unwrap();
        }
        let whole = line.contains(" job.id=") || !line.contains("xxx");
        assert!(whole, "a line is whole or not there: {line}");
    };
    assert!(missing > 0.0 && Some(missing) <= dropped(), "{missing} of {:?}", dropped());
    // When it is read again, it delivers everything that it has.
    let rest = tokio::spawn(async move {
        let mut said = String::new();
        while let Some(line) = lines.next_line().await.unwrap() {
            said += &line;
        }
        said
    });
    assert_eq!(stopped(host).await.code(), Some(0));
    assert!(rest.await.unwrap().contains("stopped"));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_a_reader_that_never_reads() {
    let (database, plugins, pages) = (Database::new().await, Plugins::with(&["hostile"]), Pages::anywhere());
    let host = started(&database, &plugins, &pages, Stdio::piped()).await;
    for id in database.enqueue_many("log_flood", 4, "").await {
        database.wait_for(id, "successful").await;
    }
    assert_eq!(stopped(host).await.code(), Some(0));
}

/// Runs a command in a terminal. Prints its process id, then what the terminal shows. A line on
/// stdin closes the terminal.
const TERMINAL: &str = "
import os, pty, select, subprocess, sys
ours, theirs = pty.openpty()
child = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=theirs)
os.close(theirs)
print(child.pid, flush=True)
while 0 not in select.select([ours, 0], [], [])[0]:
    try:
        os.write(1, os.read(ours, 65536))
    except OSError:
        break
os.close(ours)
sys.exit(child.wait())
";

async fn in_terminal(command: &Command) -> (Child, u32, BufReader<ChildStdout>) {
    let command = command.as_std();
    let mut terminal = Command::new(python());
    terminal.args(["-c", TERMINAL]).arg(command.get_program()).args(command.get_args()).kill_on_drop(true);
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => terminal.env(name, value),
            None => terminal.env_remove(name),
        };
    }
    let mut terminal = terminal.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut shown = BufReader::new(terminal.stdout.take().unwrap());
    let mut pid = String::new();
    shown.read_line(&mut pid).await.unwrap();
    (terminal, pid.trim().parse().unwrap(), shown)
}

#[tokio::test]
async fn jobs_run_and_a_stop_is_orderly_where_the_terminal_was_closed() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let (mut terminal, pid, mut shown) = in_terminal(&run(&database, &plugins)).await;
    let mut line = String::new();
    while !line.contains("ready") {
        line.clear();
        assert!(shown.read_line(&mut line).await.unwrap() > 0);
    }
    terminal.stdin.as_mut().unwrap().write_all(b"close\n").await.unwrap();
    // What a closed terminal sends to its processes.
    signal(pid, Signal::HUP);
    jobs_that_log(&database).await;
    signal(pid, Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(60), terminal.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0));
}

#[tokio::test]
async fn only_terminals_get_colours_unless_the_user_objects() {
    let database = Database::new().await;
    let shown = async |variables: &[(&str, &str)]| {
        let mut command = pgq_host(&database.dsn());
        command
            .args(["plugin", "list", "--plugins", "/nowhere", "--cache-dir", "/dev/null/nowhere"])
            .env_remove("NO_COLOR")
            .env("TERM", "xterm");
        command.envs(variables.iter().copied());
        let (_terminal, _, mut shown) = in_terminal(&command).await;
        let mut text = String::new();
        let _ = shown.read_to_string(&mut text).await;
        assert!(text.contains("plugins are compiled at every start") && text.contains("Error: "), "{text}");
        text.contains('\x1b')
    };
    assert!(shown(&[]).await);
    assert!(shown(&[("NO_COLOR", "")]).await, "empty is unset");
    assert!(!shown(&[("NO_COLOR", "1")]).await);
    assert!(!shown(&[("TERM", "dumb")]).await);
}

/// Text that looks like a line of the host's, line ends in every encoding, and escape sequences for
/// a terminal.
const FORGED: &str =
    "innocent\n2026-01-01T00:00:00.000000Z ERROR forged\r\x1b[2J\u{9b}31m\x07\u{85}\u{2028}\u{202e}backwards";

#[tokio::test]
async fn no_event_can_forge_another_or_control_a_terminal() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    plugins.write("bad\n2026-01-01T00:00:00Z ERROR forged \x1b[2J.wasm", "not WebAssembly");
    for format in ["text", "json"] {
        let host = Host::start(&database, &plugins, &["--log-format", format]).await;
        let id = database.enqueue("says", FORGED).await;
        database.wait_for(id, "failed").await;
        let log = host.stop().await;
        let unfit = |c: char| c != '\n' && (c.is_control() || matches!(c, '\u{2028}' | '\u{202e}'));
        assert!(!log.contains(unfit), "{log:?}");
        for line in log.lines() {
            assert!(!line.starts_with("2026-01-01"), "{line}");
            match format {
                "json" => assert!(line.starts_with('{') && line.ends_with('}'), "{line}"),
                _ => assert!(line.starts_with("20") && line.contains('Z'), "{line}"),
            }
        }
        let events = log.lines().filter(|line| line.contains("forged")).count();
        // The file, the message, two lines on stderr (from the guest's own line ends), and the end
        // of the run.
        assert_eq!(events, 4, "{log}");
    }
}

#[tokio::test]
async fn tables_and_errors_show_foreign_names_with_escapes() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("says", "a\nb\x1b[2J\u{202e}").await;
    database.wait_for(id, "failed").await;
    host.stop().await;
    let table = database.cli_ok(&["failed"]).await.stdout;
    assert!(table.contains("a\\nb\\x1b[2J\\u{202e}"), "{table:?}");
    assert_eq!(table.lines().count(), 3, "{table}");
    plugins.write("x\ny\x1b.wasm", "not WebAssembly");
    let folder = plugins.path().to_str().unwrap();
    let list = database.cli_ok(&["plugin", "list", "--plugins", folder]).await.stdout;
    assert!(list.contains("x\\ny\\x1b.wasm") && !list.contains('\x1b'), "{list:?}");
    let error = database.run_cli(&["plugin", "run", "no\nError: such\x1b.wasm"]).await;
    assert_eq!(error.code, 1);
    assert!(
        error.stderr.lines().filter(|line| line.starts_with("Error: ")).count() == 1 && !error.stderr.contains('\x1b'),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_reader_that_stops_reading_is_not_an_error() {
    let database = Database::new().await;
    for verb in
        [&["sql", "install"][..], &["queue", "echo"], &["backlog"], &["upgrade", "--plan"], &["sql", "uninstall"]]
    {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = pgq_host(&database.dsn());
        let mut child = command.args(verb).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
        let mut errors = String::new();
        child.stderr.take().unwrap().read_to_string(&mut errors).await.unwrap();
        assert_eq!(
            (child.wait().await.unwrap().code(), errors.contains("panicked")),
            (Some(0), false),
            "{verb:?}: {errors}"
        );
    }
    // Losing data because the disk is full, however, is an error.
    let mut command = pgq_host(&database.dsn());
    let full = File::options().write(true).open("/dev/full").unwrap();
    assert_eq!(
        command.args(["sql", "install"]).stdout(full).stderr(Stdio::null()).status().await.unwrap().code(),
        Some(1)
    );
}

/// Each line, as an object.
fn objects(log: &str) -> Vec<Value> {
    log.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
}

fn find<'a>(events: &'a [Value], message: &str) -> &'a Value {
    events
        .iter()
        .find(|event| event["message"].as_str().is_some_and(|said| said.starts_with(message)))
        .unwrap_or_else(|| panic!("{message}: {events:#?}"))
}

#[tokio::test]
async fn json_has_numbers_and_lists_as_such_and_the_error_that_ends_it() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--log-format", "json", "--log-level", "DEBUG"]).await;
    let id = database.enqueue("says", "why").await;
    database.wait_for(id, "failed").await;
    let events = objects(&host.stop().await);
    for event in &events {
        for name in ["timestamp", "level", "target", "message"] {
            assert!(event[name].is_string(), "{name}: {event}");
        }
    }
    assert!(find(&events, "ready")["start_ms"].is_u64() && find(&events, "ready")["plugins"] == 1);
    assert!(
        find(&events, "plugin loaded")["entrypoints"].as_array().is_some_and(|names| names.contains(&"echo".into()))
    );
    let ended = find(&events, "run ended");
    assert!(ended["job.id"] == id && ended["elapsed_us"].is_u64() && ended["crashed"] == false, "{ended}");
    let held = find(&events, "failed for good");
    assert!(
        held["job.id"] == id && held["job.entrypoint"] == "says" && held["cause"] == "why" && held["level"] == "WARN",
        "{held}"
    );
    let logged = find(&events, "why");
    assert!(logged["target"] == "pgq_host::guest" && logged["stream"] == "log" && logged["job.id"] == id, "{logged}");
    assert!(find(&events, "stopping")["drain_timeout_ms"] == 25_000);

    let mut fatal = run(&database, &plugins);
    fatal.args(["--log-format", "json", "--batch-size", "0"]);
    let said = run_command(fatal).await;
    let last = objects(&said.stderr).pop().unwrap();
    assert!(
        last["level"] == "ERROR" && last["error"].as_str().is_some_and(|error| error.contains("batch-size is 0")),
        "{last}"
    );
    assert_eq!(said.code, 2);
}

#[tokio::test]
async fn the_journal_gets_priorities() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let logged = async |format: &str, stream: &dyn Fn(&Path) -> String| {
        let file = File::create(&path).unwrap();
        let mut command = run(&database, &plugins);
        command.args(["--mode", "drain", "--log-format", format]).env("JOURNAL_STREAM", stream(&path)).stderr(file);
        assert!(command.status().await.unwrap().success());
        std::fs::read_to_string(&path).unwrap()
    };
    let ours = |path: &Path| {
        let metadata = path.metadata().unwrap();
        format!("{}:{}", metadata.dev(), metadata.ino())
    };
    plugins.write("bad.wasm", "not WebAssembly");
    for format in ["text", "json"] {
        let log = logged(format, &ours).await;
        assert!(log.lines().all(|line| line.starts_with("<3>") || line.starts_with("<6>")), "{log}");
        assert!(log.lines().any(|line| line.starts_with("<3>") && line.contains("plugin refused")), "{log}");
    }
    let log = logged("text", &|_| "1:2".into()).await;
    assert!(!log.contains("<6>"), "somebody else's journal: {log}");
}

#[tokio::test]
async fn a_cancelled_job_is_not_reported_as_another_workers() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &["--heartbeat-timeout", "2"]).await;
    // Heartbeats find that its row is gone while it may still run.
    let id = database.enqueue("nap", "3600000").await;
    host.wait_for_log("napping").await;
    database.cli_ok(&["cancel", &id.to_string()]).await;
    host.wait_for_log("cancelled while").await;
    let log = host.stop().await;
    assert!(!log.contains("another") && !log.contains("belonged"), "{log}");
}

#[tokio::test]
async fn an_invalid_filter_is_reported_and_ignored() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let mut command = Command::new(host_binary());
    command
        .args(["run", "--mode", "drain", "--plugins"])
        .arg(plugins.path())
        .env("PGDSN", database.dsn())
        .env("RUST_LOG", "pgq_host=loud");
    let said = run_command(command).await;
    assert!(
        said.stderr.contains("RUST_LOG") && said.stderr.contains("pgq_host=loud") && said.stderr.contains("ready"),
        "{said:?}"
    );
}

#[tokio::test]
async fn listening_ends_with_its_reader() {
    let database = Database::new().await;
    let mut command = pgq_host(&database.dsn());
    let mut listen = command.arg("listen").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut status = BufReader::new(listen.stderr.take().unwrap()).lines();
    assert!(status.next_line().await.unwrap().unwrap().contains("Listening"));
    drop(listen.stdout.take());
    // It tries to print, but nobody reads.
    database.enqueue("echo", "").await;
    let ended = tokio::time::timeout(Duration::from_secs(60), listen.wait()).await.expect("it ends").unwrap();
    assert_eq!(ended.code(), Some(0));
}
