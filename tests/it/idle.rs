//! What an idle host asks of the database, by the server's log: few statements, each of which is there for
//! a guarantee, and no more of them per host in a fleet.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use pgq_embedded::{self as embedded, Server};
use pgq_host_tests::{Database, Host, PATIENCE, Plugins, host_binary};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{SchemaFeatures, WORKER_STATEMENTS};
use tokio::process::Command;

/// Everything that an idle host sends, and the seconds between two of a kind: the fewest, and the mean.
const KINDS: [(&str, f64, f64); 4] = [
    // Looks for leases that ran out, and for due jobs: 0.60 to 0.66 of a lease of 30 s.
    ("find_expired", 18.0, 18.9),
    // Says that it is there, and sees whether pauses, verdicts and failures are others than it knows.
    ("announce", 45.0, 60.0),
    // Looks at the sessions of the others, and asks for an echo on its own.
    ("find_gone_workers", 60.0, 60.0),
    // Counts the log: an empty one is read after 30 s, then after 2 and every 4 min, less a quarter.
    ("aggregate", 90.0, 240.0),
];

struct Logged {
    server: Server,
    log: PathBuf,
    _home: tempfile::TempDir,
    /// Rendered statements, on one line, and their names.
    names: Vec<(String, &'static str)>,
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Logged {
    async fn start() -> (Logged, Database) {
        let home = tempfile::tempdir().unwrap();
        let mut settings = embedded::Settings::new(home.path().join("postgres"));
        settings.settings = [("log_statement", "all"), ("log_line_prefix", "%a|"), ("fsync", "off")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
        let server = embedded::start(settings).await.expect("the server starts");
        let database = Database::at(server.dsn("postgres")).await;
        database.install().await;
        let names = Names::new(&NameSettings::default(), |_| None).expect("valid names");
        let rendered = |statement: &pgq_queue::WorkerStatement| {
            (on_one_line(&statement.render(&names, SchemaFeatures::ALL)), statement.name)
        };
        let names = WORKER_STATEMENTS.iter().map(rendered).collect();
        (Logged { log: server.log_file(), server, _home: home, names }, database)
    }

    /// The statements that this host has sent so far, by name; the text of one that has none.
    fn sent(&self, host: &str) -> BTreeMap<String, u32> {
        let text = String::from_utf8_lossy(&std::fs::read(&self.log).expect("a log")).into_owned();
        let mut events: Vec<String> = Vec::new();
        for line in text.lines() {
            // Long statements go on in indented lines.
            match events.last_mut().filter(|_| line.starts_with('\t')) {
                Some(event) => *event += line,
                None => events.push(line.to_owned()),
            }
        }
        let mut sent = BTreeMap::new();
        for event in &events {
            let Some(event) = event.strip_prefix(host).and_then(|event| event.strip_prefix("|LOG:  ")) else {
                continue;
            };
            let statement = event.strip_prefix("statement: ").or_else(|| {
                event.strip_prefix("execute ").and_then(|event| event.split_once(": ")).map(|(_, statement)| statement)
            });
            if let Some(statement) = statement.map(on_one_line) {
                let name = self.names.iter().find(|(text, _)| *text == statement).map(|(_, name)| (*name).to_owned());
                *sent.entry(name.unwrap_or(statement)).or_insert(0) += 1;
            }
        }
        sent
    }

    fn count(&self, host: &str, name: &str) -> u32 {
        self.sent(host).get(name).copied().unwrap_or(0)
    }
}

fn spawn(database: &Database, plugins: &Plugins, name: &str) -> Host {
    let mut command = Command::new(host_binary());
    command.arg("run").arg("--plugins").arg(plugins.path()).env("PGQ_HOST_CONFIG", plugins.config());
    command.env("PGDSN", database.dsn()).env("PGQUEUER_APPLICATION_NAME", name);
    Host::launch(command)
}

/// Like `eventually`, and rarely: each look reads the whole log.
async fn until(what: &str, holds: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Watch these hosts for a turn of everything that they do now and then.
async fn watch(names: &[&str]) {
    let ((logged, database), plugins) = (Logged::start().await, Plugins::with(&["hello"]));
    let mut hosts = Vec::new();
    for name in names {
        let host = spawn(&database, &plugins, name);
        host.wait_for_log("ready").await;
        hosts.push(host);
    }
    // What a start takes is over by then, and so is the time in which others are watched closely.
    until("all are idle", || names.iter().all(|name| logged.count(name, "find_expired") >= 2)).await;
    let (before, began): (Vec<_>, _) = (names.iter().map(|name| logged.sent(name)).collect(), Instant::now());
    let has_come_round = |name: &&str, before: &BTreeMap<String, u32>| {
        let since = |kind: &str| logged.count(name, kind) - before.get(kind).copied().unwrap_or(0);
        since("announce") >= 1 && since("find_gone_workers") >= 1 && since("find_expired") >= 2
    };
    until("everything has come round", || names.iter().zip(&before).all(|(name, before)| has_come_round(name, before)))
        .await;
    let (after, watched): (Vec<_>, _) = (names.iter().map(|name| logged.sent(name)).collect(), began.elapsed());
    for (name, (before, after)) in names.iter().zip(before.iter().zip(&after)) {
        let mut sent: BTreeMap<&str, u32> = BTreeMap::new();
        for (kind, times) in after {
            let times = times - before.get(kind).copied().unwrap_or(0);
            if times > 0 {
                sent.insert(kind, times);
            }
        }
        eprintln!("{name} sent in {watched:?}: {sent:?}");
        let least = |kind: &str| KINDS.iter().find(|(known, ..)| *known == kind).map(|(_, least, _)| *least);
        for (kind, times) in &sent {
            let least = least(kind).unwrap_or_else(|| panic!("{name} is idle and sent {times} times: {kind}"));
            // However slow the machine is, it makes the time between two longer and not shorter.
            let most = (watched.as_secs_f64() / least).floor() + 1.0;
            assert!(f64::from(*times) <= most, "{name} sent {kind} {times} times in {watched:?}");
        }
    }
    // The scan of the leases is the poll: a job of which no notification came is found by it.
    database.execute("ALTER TABLE pgqueuer DISABLE TRIGGER USER").await;
    let unheard = database.enqueue("hello", r#"{"name": "Ada"}"#).await;
    database.execute("ALTER TABLE pgqueuer ENABLE TRIGGER USER").await;
    database.wait_for(unheard, "successful").await;
    for name in names {
        let sent = logged.sent(name);
        let polls = sent.get("next_due").copied().unwrap_or(0);
        // One after each claim that brought nothing, and a claim for each reason to look.
        let is_look = |kind: &str| kind.starts_with("lock") || kind.starts_with("claim");
        let looks: u32 = sent.iter().filter(|(kind, _)| is_look(kind)).map(|(_, times)| times).sum();
        assert!(polls <= looks, "{name} polled beside the scan: {sent:?}");
    }
    for host in hosts {
        host.stop().await;
    }
    logged.server.stop().await;
}

#[tokio::test]
async fn a_host_that_is_alone_sends_five_statements_a_minute() {
    let rate: f64 = KINDS.iter().map(|(_, _, mean)| 1.0 / mean).sum();
    assert!(rate <= 0.1, "{rate} a second is not what docs/performance.md promises");
    watch(&["alone"]).await;
}

#[tokio::test]
async fn hosts_of_a_fleet_send_no_more_each() {
    watch(&["one", "two", "three"]).await;
}
