//! Five incidents on a fleet of three hosts, and `docs/incidents.md`: the commands of the page are run
//! on each, say what the page says they say, and mend it.
//!
//! `make incident INCIDENT=bad_deploy` prepares one and leaves it to a person.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, Instant};

use pgq_host_tests::{Database, Host, Pages, Plugins, Proxy, eventually, guest, pgq_host, run_command};
use pgq_job::NewJob;
use pgq_queue::OnConflict;
use serde_json::Value;
use sqlx::{Connection as _, PgConnection};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;

use crate::reload::sha256;

/// Three hosts with the shop, a partner, and orders that never end.
struct Fleet {
    database: Database,
    plugins: Plugins,
    hosts: Vec<Host>,
    /// In front of the third host's database.
    proxy: Proxy,
    partner: Partner,
    orders: AbortHandle,
    ordered: Arc<AtomicI64>,
    _cache: tempfile::TempDir,
}

/// Whom webhooks are sent to.
struct Partner {
    url: String,
    well: Arc<AtomicBool>,
}

impl Partner {
    async fn start() -> Partner {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (url, well) = (format!("http://{}", listener.local_addr().unwrap()), Arc::new(AtomicBool::new(true)));
        let answers = Arc::clone(&well);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let status = if answers.load(Ordering::Relaxed) { "200 OK" } else { "503 Service Unavailable" };
                tokio::spawn(async move {
                    let mut head = [0; 4_096];
                    let _ = stream.read(&mut head).await;
                    let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\nConnection: close\r\n\r\n-\n");
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        Partner { url, well }
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.orders.abort();
    }
}

impl Fleet {
    async fn start() -> Fleet {
        let (database, plugins, partner) =
            (Database::new().await, Plugins::with(&["shop", "webhook"]), Partner::start().await);
        let config = format!("[plugins.webhook]\nhttp = [\"{}\"]\n", partner.url);
        std::fs::write(plugins.config(), config).unwrap();
        let cache = tempfile::tempdir().unwrap();
        let folder = |number: usize| cache.path().join(number.to_string()).to_str().unwrap().to_owned();
        let proxy = Proxy::before(&database.dsn()).await;
        let mut hosts = Vec::new();
        for number in 0..2 {
            hosts.push(Host::start(&database, &plugins, &["--cache-dir", &folder(number)]).await);
        }
        let third = Database::at(proxy.dsn()).await;
        hosts.push(Host::start(&third, &plugins, &["--cache-dir", &folder(2), "--heartbeat-timeout", "5"]).await);
        let ordered = Arc::new(AtomicI64::new(0));
        let (queue, count) = (database.queue(), Arc::clone(&ordered));
        let orders = tokio::spawn(async move {
            loop {
                let number = count.fetch_add(1, Ordering::Relaxed);
                let payload = format!("{{\"order\": {number}, \"total\": 12}}").into_bytes();
                let order = NewJob { entrypoint: "order".into(), payload: Some(payload), ..NewJob::default() };
                let _ = queue.enqueue(&[order], OnConflict::Raise).await;
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .abort_handle();
        let fleet = Fleet { database, plugins, hosts, proxy, partner, orders, ordered, _cache: cache };
        fleet.takes_orders().await;
        fleet
    }

    async fn ended(&self, entrypoint: &str) -> i64 {
        let ended =
            format!("SELECT count(*) FROM pgqueuer_log WHERE status = 'successful' AND entrypoint = '{entrypoint}'");
        self.database.count(&ended).await
    }

    async fn held(&self) -> i64 {
        self.database.count("SELECT count(*) FROM pgqueuer WHERE status = 'failed'").await
    }

    /// Orders succeed.
    async fn takes_orders(&self) {
        let before = self.ended("order").await;
        eventually("orders are taken", async || self.ended("order").await > before + 5).await;
    }

    /// Prepare an incident. Returns what its values on the page are here.
    async fn prepare(&mut self, incident: &str) -> HashMap<&'static str, String> {
        match incident {
            "bad_deploy" => self.bad_deploy().await,
            "partner_down" => self.partner_down().await,
            "poison_payload" => self.poison_payload().await,
            "open_transaction" => self.open_transaction().await,
            "host_cut_off" => self.host_cut_off().await,
            other => panic!("{other:?} is no incident"),
        }
    }

    /// The next version wants a field that no order has.
    async fn bad_deploy(&self) -> HashMap<&'static str, String> {
        let next = std::fs::read(guest("shop-next")).unwrap();
        self.plugins.replace("shop.wasm", &next);
        eventually("orders are held", async || self.held().await >= 20).await;
        [("sha256", sha256(&next)[..12].to_owned())].into()
    }

    /// Every webhook waits for its next attempt.
    async fn partner_down(&self) -> HashMap<&'static str, String> {
        self.partner.well.store(false, Ordering::Relaxed);
        let payload = format!("{{\"url\": \"{}/hook\", \"body\": {{}}}}", self.partner.url);
        self.database.enqueue_many("webhook", 30, payload).await;
        let waits =
            "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'webhook' AND attempts > 0 AND execute_after > now()";
        eventually("webhooks wait", async || self.database.count(waits).await == 30).await;
        HashMap::new()
    }

    /// One picture of many is a thousand times too wide.
    async fn poison_payload(&self) -> HashMap<&'static str, String> {
        self.database.enqueue_many("resize", 20, "{\"picture\": \"cat.png\", \"width\": 100}").await;
        let poison = self.database.enqueue("resize", "{\"picture\": \"dog.png\", \"width\": 40000}").await;
        self.database.wait_for(poison, "failed").await;
        [("job", poison.to_string())].into()
    }

    /// Somebody began a transaction in psql and went to lunch.
    async fn open_transaction(&self) -> HashMap<&'static str, String> {
        let mut forgotten = PgConnection::connect(&self.database.dsn()).await.unwrap();
        sqlx::raw_sql("SET application_name = 'psql'; BEGIN; CREATE TABLE mended AS SELECT * FROM pgqueuer")
            .execute(&mut forgotten)
            .await
            .unwrap();
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut forgotten).await.unwrap();
        // It ends with its session, not with this function.
        std::mem::forget(forgotten);
        let old =
            format!("SELECT count(*) FROM pg_stat_activity WHERE pid = {pid} AND xact_start < now() - interval '61 s'");
        eventually("it has been open for a minute", async || self.database.count(&old).await == 1).await;
        [("pid", pid.to_string())].into()
    }

    /// The third host hears nothing of the database any more, while it runs jobs.
    async fn host_cut_off(&mut self) -> HashMap<&'static str, String> {
        self.proxy.fall_silent();
        self.proxy.cut();
        let gone = "SELECT count(*) FROM pgqueuer_host WHERE died >= seen";
        eventually("the others noticed", async || self.database.count(gone).await == 1).await;
        let pid = self.hosts[2].pid();
        let name: String = sqlx::query_scalar("SELECT name FROM pgqueuer_host WHERE pid = $1")
            .bind(i32::try_from(pid).unwrap())
            .fetch_one(self.database.pool())
            .await
            .unwrap();
        [("host", format!("{name}:{pid}"))].into()
    }

    /// What somebody outside of the queue does, between the commands of the page.
    fn mend_outside(&self, what: &str) {
        match what {
            "the partner is back" => self.partner.well.store(true, Ordering::Relaxed),
            "the network is back" => self.proxy.recover(),
            other => panic!("nobody can do {other:?}"),
        }
    }
}

/// A block of commands on the page, and what it says they print.
struct Step {
    /// `$ pgq-host ...` without its prompt.
    command: String,
    output: Vec<String>,
}

/// What the page has of an incident.
struct Section {
    values: HashMap<String, String>,
    steps: Vec<Result<Step, String>>,
}

/// The section below `<!-- incident: NAME key=value ... -->`. A line `<!-- then: TEXT -->` is what somebody does outside.
fn section(incident: &str) -> Section {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/incidents.md");
    let page = std::fs::read_to_string(page).expect("the page");
    let (_, rest) = page.split_once(&format!("<!-- incident: {incident}")).unwrap_or_else(|| panic!("no {incident}"));
    let (values, rest) = rest.split_once("-->").expect("the end of the comment");
    let rest = rest.split("<!-- incident: ").next().unwrap();
    let values = values
        .split_whitespace()
        .filter_map(|pair| pair.split_once('='))
        .map(|(key, value)| (key.to_owned(), value.to_owned()));
    let (mut steps, mut inside) = (Vec::<Result<Step, String>>::new(), false);
    for line in rest.lines() {
        if let Some(then) = line.strip_prefix("<!-- then: ").and_then(|line| line.strip_suffix(" -->")) {
            steps.push(Err(then.to_owned()));
        } else if line.starts_with("```") {
            inside = line == "```console";
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| inside) {
            steps.push(Ok(Step { command: command.to_owned(), output: Vec::new() }));
        } else if let (true, Some(Ok(step))) = (inside, steps.last_mut()) {
            step.output.push(line.to_owned());
        }
    }
    Section { values: values.collect(), steps }
}

/// The words of a command, as a shell would read them.
fn words(command: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for c in command.chars() {
        match (c, quote) {
            (_, Some(mark)) if c == mark => quote = None,
            (_, Some(_)) => word.push(c),
            ('\'' | '"', None) => quote = Some(c),
            (' ', None) => words.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty())),
            (_, None) => word.push(c),
        }
    }
    words.extend(Some(word).filter(|word| !word.is_empty()));
    words
}

/// What is the same whenever it is printed: words of letters.
fn said(line: &str) -> Vec<&str> {
    line.split(|c: char| !c.is_alphabetic()).filter(|word| word.chars().count() >= 5).collect()
}

/// Walk through the page as an operator would. Returns how long the commands took.
async fn walk(fleet: &Fleet, incident: &str, actual: &HashMap<&'static str, String>) -> Duration {
    let Section { values, steps } = section(incident);
    assert_eq!(values.len(), actual.len(), "{incident}: {values:?}");
    let here = |text: &str| {
        values.iter().fold(text.to_owned(), |text, (key, value)| text.replace(value, &actual[key.as_str()]))
    };
    let mut took = Duration::ZERO;
    assert!(steps.iter().filter(|step| step.is_ok()).count() >= 2, "{incident} has its commands");
    for step in steps {
        let Step { command, output } = match step {
            Ok(step) => step,
            Err(outside) => {
                fleet.mend_outside(&outside);
                continue;
            }
        };
        let line = here(&command);
        let began = Instant::now();
        let printed = match line.strip_prefix("psql -c ") {
            Some(sql) => {
                sqlx::raw_sql(sqlx::AssertSqlSafe(words(sql).remove(0))).execute(fleet.database.pool()).await.unwrap();
                String::new()
            }
            None => {
                let mut command = pgq_host(&fleet.database.dsn());
                command.args(&words(line.strip_prefix("pgq-host ").unwrap_or_else(|| panic!("{line}")))[..]);
                let done = run_command(command).await;
                assert_eq!(done.code, 0, "{line}: {done:?}");
                done.stdout + &done.stderr
            }
        };
        took += began.elapsed();
        for wanted in output.iter().flat_map(|line| said(line)) {
            assert!(printed.contains(wanted), "{incident}: `{line}` does not say {wanted:?}:\n{printed}");
        }
        if std::env::var_os("PGQ_INCIDENT_SHOW").is_some() {
            eprintln!("$ {line}\n{printed}");
        }
    }
    took
}

async fn rehearsed(incident: &str) -> Fleet {
    let mut fleet = Fleet::start().await;
    let actual = fleet.prepare(incident).await;
    let took = walk(&fleet, incident, &actual).await;
    eprintln!("{incident}: the commands took {took:.1?}");
    fleet
}

#[tokio::test]
async fn a_bad_deploy_is_found_and_taken_out_of_service() {
    let fleet = rehearsed("bad_deploy").await;
    eventually("no order is held", async || fleet.held().await == 0).await;
    fleet.takes_orders().await;
    fleet.orders.abort();
    fleet.database.wait_until_done().await;
    let orders = fleet.ordered.load(Ordering::Relaxed);
    assert!(fleet.ended("order").await >= orders - 1, "each was taken in the end");
}

#[tokio::test]
async fn a_partner_that_is_down_costs_no_attempts_while_it_is_paused() {
    let fleet = rehearsed("partner_down").await;
    eventually("all are delivered", async || fleet.ended("webhook").await == 30).await;
    fleet.takes_orders().await;
}

#[tokio::test]
async fn a_poison_payload_is_seen_and_mended() {
    let fleet = rehearsed("poison_payload").await;
    eventually("every picture is resized", async || fleet.ended("resize").await == 21).await;
    assert_eq!(fleet.held().await, 0);
}

#[tokio::test]
async fn a_forgotten_transaction_is_named_and_ended() {
    let fleet = rehearsed("open_transaction").await;
    let open = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'psql' AND datname = current_database()";
    eventually("it is gone", async || fleet.database.count(open).await == 0).await;
    fleet.takes_orders().await;
}

#[tokio::test]
async fn a_host_that_is_cut_off_is_missed_and_comes_back_by_itself() {
    let fleet = rehearsed("host_cut_off").await;
    let back = "SELECT count(*) FROM pgqueuer_host WHERE died IS NULL OR died < seen";
    eventually("all three are there", async || fleet.database.count(back).await == 3).await;
    let troubles = async || fleet.database.cli_ok(&["overview", "--json"]).await.json()["troubles"].clone();
    eventually("nobody is missed", async || troubles().await["hosts"] == Value::Array(Vec::new())).await;
    fleet.takes_orders().await;
}

/// For a person: prepares the incident of `PGQ_INCIDENT`, says where, and leaves it for `PGQ_INCIDENT_SECONDS`.
#[tokio::test]
#[ignore = "for a person: make incident"]
async fn left_to_a_person() {
    let incident = std::env::var("PGQ_INCIDENT").unwrap_or_else(|_| "bad_deploy".into());
    let seconds = std::env::var("PGQ_INCIDENT_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(3_600);
    let mut fleet = Fleet::start().await;
    let values = fleet.prepare(&incident).await;
    let pages = Pages::anywhere();
    let address = pages.address();
    let mut web = pgq_host(&fleet.database.dsn());
    web.args(["web", "--port", address.rsplit(':').next().unwrap()]);
    let _web = Host::launch(web);
    eprintln!("export PGDSN='{}'\nhttp://{address}/\n{incident} {values:?}, for {seconds} s", fleet.database.dsn());
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}
