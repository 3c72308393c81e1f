//! What stands beside the metrics: the page that lists them, alert rules, and the dashboard; and the
//! real Prometheus, which scrapes a real host while something goes wrong.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pgq_host::telemetry::{CATALOG, Kind};
use pgq_host_tests::{Database, Host, Pages, Plugins, eventually};
use serde_json::Value;
use tokio::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

const RULES: &str = "deploy/prometheus/pgq-host.rules.yml";
const DASHBOARD: &str = "deploy/grafana/pgq-host.json";

#[test]
fn the_page_of_metrics_is_made_of_the_catalog() {
    let mut made = String::new();
    let mut section = None;
    for metric in CATALOG {
        if section != Some(metric.section) {
            section = Some(metric.section);
            let heading = metric.section.heading();
            made += &format!("\n## {heading}\n\n| metric | type | labels | |\n|---|---|---|---|\n");
        }
        let labels: Vec<String> = metric.labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (metric.kind.label(), labels.join(", "));
        made += &format!("| `{}` | {kind} | {labels} | {} |\n", metric.name, metric.help);
    }
    made += "\n";
    let page = read("docs/metrics.md");
    let (before, rest) = page.split_once("<!-- catalog -->\n").expect("where it begins");
    let (kept, after) = rest.split_once("<!-- /catalog -->").expect("where it ends");
    if std::env::var_os("PGQ_UPDATE_SNAPSHOTS").is_some() {
        let text = format!("{before}<!-- catalog -->\n{made}<!-- /catalog -->{after}");
        std::fs::write(root().join("docs/metrics.md"), text).expect("written");
    } else {
        assert_eq!(kept, made, "run this test with PGQ_UPDATE_SNAPSHOTS=1 and read the diff");
    }
}

/// The names of metrics in an expression, each with the labels that are asked of it.
fn named(expression: &str) -> Vec<(String, Vec<String>)> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = expression;
    while let Some(at) = ["pgq_host_", "pgqueuer_", "process_"].iter().filter_map(|prefix| rest.find(prefix)).min() {
        let name: String = rest[at..].chars().take_while(|c| is_name(*c)).collect();
        rest = &rest[at + name.len()..];
        let matchers = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inside, _)| inside);
        // Values are quoted, and no value has a comma.
        let labels = matchers.split(',').filter(|part| !part.trim().is_empty());
        let label = |part: &str| part.trim().chars().take_while(|c| is_name(*c)).collect();
        found.push((name, labels.map(label).collect()));
    }
    found
}

/// The labels of `by (...)` and `on (...)`.
fn grouped(expression: &str) -> BTreeSet<String> {
    let lists = ["by (", "on ("].into_iter().flat_map(|word| expression.split(word).skip(1));
    let inside = lists.filter_map(|rest| rest.split_once(')')).flat_map(|(inside, _)| inside.split(','));
    inside.map(|label| label.trim().to_owned()).collect()
}

/// All expressions, with where they stand.
fn expressions() -> Vec<(String, String)> {
    fn walk(value: &Value, found: &mut Vec<(String, String)>) {
        match value {
            Value::Object(pairs) => {
                for (key, value) in pairs {
                    match value {
                        Value::String(text) if key == "expr" || key == "definition" => {
                            found.push((DASHBOARD.to_owned(), text.clone()));
                        }
                        _ => walk(value, found),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(&serde_json::from_str(&read(DASHBOARD)).expect("JSON"), &mut found);
    assert!(found.len() > 30, "the dashboard has {} expressions", found.len());
    let rules = read(RULES);
    let (mut lines, before) = (rules.lines().peekable(), found.len());
    while let Some(line) = lines.next() {
        let Some(expression) = line.trim().strip_prefix("expr: ") else { continue };
        let mut whole = expression.trim_start_matches(">-").to_owned();
        while let Some(more) = lines.next_if(|line| !line.trim().starts_with("for:")) {
            whole += more;
        }
        found.push((RULES.to_owned(), whole));
    }
    assert_eq!(found.len() - before, rules.matches("- alert: ").count());
    found
}

#[test]
fn every_expression_of_dashboard_and_alerts_asks_for_what_there_is() {
    // Those that Prometheus adds.
    let added = ["instance", "job", "le"];
    let mut mistakes = Vec::new();
    for (place, expression) in expressions() {
        let names = named(&expression);
        if names.is_empty() {
            mistakes.push(format!("{place}: {expression} names no metric"));
        }
        let mut known = BTreeSet::new();
        for (name, labels) in names {
            let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| {
                let base = name.strip_suffix(end)?;
                CATALOG.iter().find(|metric| metric.name == base && metric.kind == Kind::Histogram)
            });
            let Some(metric) = base.or_else(|| CATALOG.iter().find(|metric| metric.name == name)) else {
                mistakes.push(format!("{place}: there is no metric {name}: {expression}"));
                continue;
            };
            let has = |label: &String| metric.labels.contains(&label.as_str()) || added.contains(&label.as_str());
            known.extend(metric.labels.iter().map(|label| (*label).to_owned()));
            for label in labels.iter().filter(|label| !has(label)) {
                mistakes.push(format!("{place}: {name} has no label {label}: {expression}"));
            }
        }
        for label in grouped(&expression) {
            if !known.contains(&label) && !added.contains(&label.as_str()) {
                mistakes.push(format!("{place}: nothing there has a label {label}: {expression}"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// Every alert has a row in the README, and every row an alert.
#[test]
fn every_alert_is_explained_and_unit_tested() {
    let names = |text: &str, before: &str| -> BTreeSet<String> {
        let parts = text.split(before).skip(1);
        parts.map(|rest| rest.chars().take_while(char::is_ascii_alphanumeric).collect()).collect()
    };
    let alerts = names(&read(RULES), "- alert: ");
    assert_eq!(names(&read("deploy/prometheus/README.md"), "\n| `"), alerts);
    assert_eq!(names(&read("deploy/prometheus/pgq-host.rules.test.yml"), "alertname: "), alerts);
}

/// A tool of Prometheus, where there is one.
fn tool(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&paths).map(|folder| folder.join(name)).find(|path| path.is_file());
    if found.is_none() {
        eprintln!("SKIPPED: there is no {name}; `make prometheus` installs it");
    }
    found
}

#[test]
fn promtool_accepts_the_rules_and_their_unit_tests() {
    let Some(promtool) = tool("promtool") else { return };
    for (verb, file) in [("check", "pgq-host.rules.yml"), ("test", "pgq-host.rules.test.yml")] {
        let mut command = std::process::Command::new(&promtool);
        command.args([verb, "rules", file]).current_dir(root().join("deploy/prometheus"));
        let said = command.output().expect("it starts");
        let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
        assert!(said.status.success(), "{text}");
    }
}

/// An answer of Prometheus' API.
fn asked(address: &str, path: &str) -> Value {
    let mut answer = String::new();
    let Ok(mut stream) = TcpStream::connect(address) else { return Value::Null };
    // An answer to 1.0 is in one piece.
    if write!(stream, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n").is_err() {
        return Value::Null;
    }
    let _ = stream.read_to_string(&mut answer);
    let body = answer.split_once("\r\n\r\n").map(|(_, body)| body).unwrap_or_default();
    serde_json::from_str(body).unwrap_or_default()
}

/// The names of alerts that fire.
fn firing(address: &str) -> BTreeSet<String> {
    let alerts = asked(address, "/api/v1/alerts");
    let all = alerts["data"]["alerts"].as_array().cloned().unwrap_or_default();
    let fires = all.iter().filter(|alert| alert["state"] == "firing");
    fires.map(|alert| alert["labels"]["alertname"].as_str().unwrap_or_default().to_owned()).collect()
}

/// The rules as they are, except that all of it goes faster: what has to hold for minutes has to hold
/// at once, and rates are those of seconds.
fn hurried() -> String {
    let lines = read(RULES);
    let lines = lines.lines().map(|line| match line.split_once("for: ") {
        Some((before, _)) => format!("{before}for: 0s"),
        None => line.replace("[5m]", "[15s]"),
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn alerts_of_the_real_prometheus_fire_when_something_goes_wrong_and_resolve_when_it_is_mended() {
    let Some(prometheus) = tool("prometheus") else { return };
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    plugins.write("pgq-host.toml", "[circuit-breaker]\nwindow = 3\ncrashes = 3\npause = \"1h\"\n");
    let (pages, web) = (Pages::anywhere(), Pages::anywhere());
    let host = Host::start(&database, &plugins, &["--listen", &pages.address()]).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("rules.yml"), hurried()).unwrap();
    let config = format!(
        "global: {{scrape_interval: 1s, evaluation_interval: 1s}}\nrule_files: [rules.yml]\nscrape_configs:\n  \
         - job_name: pgq-host\n    static_configs: [{{targets: [\"{}\"]}}]\n",
        pages.address()
    );
    std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let mut command = Command::new(prometheus);
    command.current_dir(folder.path()).args(["--config.file=prometheus.yml", "--storage.tsdb.path=data"]);
    command.arg(format!("--web.listen-address={}", web.address())).stdout(Stdio::null()).stderr(Stdio::null());
    let _prometheus = command.kill_on_drop(true).spawn().expect("it starts");
    let address = web.address();
    eventually("the host is scraped", async || {
        asked(&address, "/api/v1/query?query=pgq_host_hosts")["data"]["result"]
            .as_array()
            .is_some_and(|all| !all.is_empty())
    })
    .await;
    let wanted = BTreeSet::from(
        [
            "PgqHostQueueStuck",
            "PgqHostQueueOld",
            "PgqHostBreakerOpen",
            "PgqHostFailures",
            "PgqHostHostDied",
            "PgqHostPluginRefused",
        ]
        .map(str::to_owned),
    );
    assert!(firing(&address).is_disjoint(&wanted), "{:?}", firing(&address));
    // A queue that nobody serves, a breaker that opens, a file that is broken, a host that is killed.
    database.execute(
        "INSERT INTO pgqueuer (priority, status, entrypoint, created, execute_after) VALUES (0, 'queued', 'nobody', now() - interval '1 h', now() - interval '1 h')",
    ).await;
    database.enqueue_many("hog", 3, "").await;
    plugins.write("broken.wasm", b"nothing");
    let second = Host::start(&database, &Plugins::with(&["hostile"]), &[]).await;
    eventually("both are announced", async || database.count("SELECT count(*) FROM pgqueuer_host").await == 2).await;
    second.kill().await;
    let mut seen = BTreeSet::new();
    eventually("all of them have fired", async || {
        // A version whose runs fail: rates are of the last seconds.
        database.enqueue_many("reject", 20, "no").await;
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        seen.extend(firing(&address));
        wanted.is_subset(&seen)
    })
    .await;
    // All of it is mended. That a host died is told for ten minutes.
    plugins.remove("broken.wasm");
    for entrypoint in ["nobody", "hog"] {
        database.cli_ok(&["cancel", "--entrypoint", entrypoint, "--yes"]).await;
    }
    database.cli_ok(&["plugin", "reset", "hog"]).await;
    database.execute("UPDATE pgqueuer_host SET died = died - interval '11 minutes', seen = seen - interval '12 minutes' WHERE died >= seen").await;
    eventually("all of them are resolved", async || firing(&address).is_disjoint(&wanted)).await;
    host.stop().await;
}
