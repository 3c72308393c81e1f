//! What `--json` prints is what docs/json.md says: every verb that has the option has a section there,
//! and each field of it a row with its type. What a verb prints and the page does not know is found, and
//! so is what the page knows and no verb prints.

use std::collections::{BTreeMap, BTreeSet};

use clap::Command;
use pgq_host::cli::Cli;
use pgq_host_tests::{
    CliOutput, Database, Host, Plugins, Registry, SealingKeys, guest, host_binary, pgq_host, run_command,
};
use serde_json::Value;

use crate::terminal::shop;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/json.md");
/// The type of what is whatever a producer or a handler made it.
const ANY: &str = "any";
/// They need a registry, and a machine may have none.
const OF_REGISTRIES: [&str; 3] = ["plugin push", "plugin pull", "plugin lock"];

/// The verbs with the option.
fn verbs() -> BTreeSet<String> {
    fn walk(path: &str, command: &Command, found: &mut BTreeSet<String>) {
        if command.get_arguments().any(|arg| arg.get_long() == Some("json")) {
            found.insert(path.to_owned());
        }
        for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
            walk(format!("{path} {}", verb.get_name()).trim(), verb, found);
        }
    }
    let mut found = BTreeSet::new();
    walk("", &Cli::whole(), &mut found);
    found
}

/// The types of each field, and what it means.
type Fields = BTreeMap<String, (BTreeSet<String>, String)>;

/// The page: what comes before the sections of verbs, and their fields.
fn page() -> (String, BTreeMap<String, Fields>) {
    let text = std::fs::read_to_string(PAGE).expect("the page");
    let mut parts = text.split("\n### ");
    let head = parts.next().unwrap_or_default().to_owned();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.trim_end_matches('|').splitn(3, " | ").collect();
        let [field, kinds, meaning] = cells[..] else { panic!("three cells: {line}") };
        let kinds = kinds.split(" or ").map(|kind| kind.trim().to_owned()).collect();
        Some((field.trim_end_matches('`').to_owned(), (kinds, meaning.trim().to_owned())))
    };
    let sections = parts.map(|part| {
        let (verb, rest) = part.split_once('\n').unwrap_or((part, ""));
        (verb.trim().to_owned(), rest.lines().filter_map(row).collect())
    });
    (head, sections.collect())
}

/// Which types each field has. Below what is `any` nobody looks.
fn walk(path: &str, value: &Value, known: &Fields, found: &mut BTreeMap<String, BTreeSet<String>>) {
    if known.get(path).is_some_and(|(kinds, _)| kinds.contains(ANY)) {
        found.entry(path.to_owned()).or_default().insert(ANY.into());
        return;
    }
    let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(text) if chrono::DateTime::parse_from_rfc3339(text).is_ok() => "time",
        Value::String(_) => "string",
        Value::Array(items) => {
            items.iter().for_each(|item| walk(&format!("{path}[]"), item, known, found));
            "array"
        }
        Value::Object(pairs) => {
            // Keys that are names of entrypoints, which a row with a star stands for.
            let star = below("*");
            let named = known.contains_key(&star) || known.keys().any(|field| field.starts_with(&format!("{star}.")));
            for (name, value) in pairs {
                walk(&if named { star.clone() } else { below(name) }, value, known, found);
            }
            "object"
        }
    };
    // Fields tell that something is an object, and elements that it is a list.
    if kind != "object" && !path.is_empty() {
        found.entry(path.to_owned()).or_default().insert(kind.into());
    }
}

/// What the verbs print, in as many situations as it takes.
struct Printed(BTreeMap<String, Vec<Value>>);

impl Printed {
    fn add(&mut self, verb: &str, said: &CliOutput) {
        let all = self.0.entry(verb.to_owned()).or_default();
        let lines = || {
            said.stdout.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{verb}: {said:?}")))
        };
        match serde_json::from_str(&said.stdout) {
            Ok(one) => all.push(one),
            Err(_) => all.extend(lines()),
        }
        assert!(!all.is_empty(), "{verb}: {said:?}");
    }

    async fn of(&mut self, database: &Database, verb: &str, args: &[&str]) {
        let words: Vec<&str> = verb.split(' ').chain(args.iter().copied()).chain(["--json"]).collect();
        self.add(verb, &database.run_cli(&words).await);
    }
}

/// Verbs that look at a queue, and then change it.
async fn of_the_queue(printed: &mut Printed) {
    let database = shop().await;
    // A worker of PgQueuer's.
    let python = "INSERT INTO pgqueuer (priority, entrypoint, status, queue_manager_id, heartbeat) VALUES (0, 'invoice', 'picked', gen_random_uuid(), now())";
    database.execute(python).await;
    // A held job whose key another one has by now.
    let key = "UPDATE pgqueuer SET dedupe_key = 'taken' WHERE id = (SELECT min(id) FROM pgqueuer WHERE status = 'failed');
               INSERT INTO pgqueuer (priority, entrypoint, status, dedupe_key) VALUES (0, 'invoice', 'queued', 'taken')";
    database.execute(key).await;
    let keyed = database.count("SELECT min(id)::bigint FROM pgqueuer WHERE status = 'failed'").await.to_string();
    let first = async |status: &str| {
        let sql = format!("SELECT max(id)::bigint FROM pgqueuer WHERE status = '{status}'");
        database.count(&sql).await.to_string()
    };
    let (held, running, queued) = (first("failed").await, first("picked").await, first("queued").await);
    for args in [&[][..], &["--status", "picked"], &["--status", "failed"], &["--status", "successful"], &["-n", "1"]] {
        printed.of(&database, "jobs", args).await;
    }
    for id in [&held, &running, &queued, "1000"] {
        printed.of(&database, "job", &[id]).await;
    }
    printed.of(&database, "pause", &["--entrypoint", "invoice", "--reason", "r", "--for", "1h"]).await;
    printed.of(&database, "pause", &["--all", "--reason", "r"]).await;
    for (verb, args) in [
        ("failed", &[][..]),
        ("overview", &[]),
        ("failures", &[]),
        ("plugin versions", &[]),
        ("plugin quarantine", &[&"ab".repeat(32), "--reason", "r"]),
        ("plugin lift", &[&"ab".repeat(32)]),
        ("stale", &["--threshold", "0"]),
        ("workers", &[]),
        ("backlog", &[]),
        ("schedules", &[]),
        ("pauses", &[]),
        ("dashboard", &[]),
        ("plugin list", &["--hosts"]),
        ("resume", &["--all"]),
        ("doctor", &[]),
        ("requeue", &[&held, "4711", &queued, &keyed]),
        ("requeue", &["--entrypoint", "invoice", "--error", "refused", "--yes"]),
        ("cancel", &[&running, "4711", "1000"]),
        ("cancel", &["--entrypoint", "invoice", "--yes"]),
        ("retry-now", &["--entrypoint", "report", "--yes"]),
        ("reschedule", &["--entrypoint", "report", "--delay", "1h", "--yes"]),
        ("edit", &["--entrypoint", "report", "--priority", "3", "--yes"]),
        ("audit", &[]),
        ("queue", &["e", "x", "--dedupe-key", "k"]),
        ("queue", &["e", "x", "--dedupe-key", "k"]),
        ("queue", &["e", "x", "--dedupe-key", "k", "--on-conflict", "update_priority", "--priority", "2"]),
        ("plugin reset", &["shop"]),
        ("plugin reload", &[]),
        ("grant", &["postgres"]),
        ("verify", &["--expect", "present"]),
        ("verify", &["--expect", "absent"]),
        ("autovac", &[]),
        ("durability", &["durable"]),
        ("upgrade", &["--plan"]),
        ("upgrade", &[]),
        ("uninstall", &["--yes"]),
        ("install", &[]),
    ] {
        printed.of(&database, verb, args).await;
    }
}

/// Payloads that are sealed.
async fn of_sealing(printed: &mut Printed) {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["one", "two"]));
    let file = keys.file().display().to_string();
    let sealed = database.enqueue("charge", keys.seal("two", "charge", b"x")).await;
    database.enqueue("charge", SealingKeys::new(&["mine"]).seal("mine", "charge", b"x")).await;
    let output =
        "INSERT INTO pgqueuer_output (job_id, entrypoint, output) SELECT id, entrypoint, payload FROM pgqueuer";
    database.execute(output).await;
    printed.of(&database, "job", &[&sealed.to_string()]).await;
    printed.of(&database, "sealing reseal", &["--all", "--yes", "--keys-file", &file]).await;
    printed.of(&database, "sealing reseal-outputs", &["--all", "--yes", "--keys-file", &file]).await;
    printed.of(&database, "sealing keygen", &["three", "--keys-file", &file]).await;
}

/// What would be removed, by rules that say so.
async fn of_retention(printed: &mut Printed) {
    let (database, config) = (shop().await, Plugins::with(&[]));
    std::fs::write(config.config(), "[retention]\nlog = \"30d\"\n").unwrap();
    let old = "INSERT INTO pgqueuer_log (job_id, status, priority, entrypoint, created, aggregated)
               SELECT 2000, status::pgqueuer_status, 0, 'invoice', now() - interval '90 days', true FROM unnest(ARRAY['queued', 'successful']) AS status";
    database.execute(old).await;
    let mut command = pgq_host(&database.dsn());
    command.args(["prune", "--plan", "--json"]).env("PGQ_HOST_CONFIG", config.config());
    printed.add("prune", &run_command(command).await);
}

/// Verbs that look at a host and what it ran.
async fn of_a_host(printed: &mut Printed) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile", "scheduled"]));
    plugins.replace("broken.wasm", b"no component");
    let host = Host::start(&database, &plugins, &[]).await;
    let (echo, fail) = (database.enqueue("echo", "{\"a\": 1}").await, database.enqueue("panics", "").await);
    let parent = database.enqueue("follow_up", "complete").await;
    for (id, status) in [(echo, "successful"), (fail, "failed"), (parent, "successful")] {
        database.wait_for(id, status).await;
    }
    let follow_up =
        database.cli_ok(&["job", &parent.to_string(), "--json"]).await.json()["attempts"][0]["follow_ups"][0].clone();
    for id in [echo, fail, parent, follow_up.as_i64().expect("a follow-up")] {
        printed.of(&database, "job", &[&id.to_string()]).await;
    }
    printed.of(&database, "logs", &[]).await;
    printed.of(&database, "plugin list", &["--hosts"]).await;
    printed.of(&database, "dashboard", &[]).await;
    let folder = plugins.path().display().to_string();
    printed.of(&database, "plugin list", &["--plugins", &folder]).await;
    printed.of(&database, "doctor", &["--plugins", &folder]).await;
    host.stop().await;
    printed.of(&database, "bench", &["drain", "--jobs", "20", "--rounds", "1"]).await;
}

/// Verbs that need no database.
async fn of_plugins(printed: &mut Printed) {
    let folder = tempfile::tempdir().unwrap();
    let cli = async |args: &[&str]| {
        let mut command = tokio::process::Command::new(host_binary());
        command.args(args).arg("--json").current_dir(folder.path()).kill_on_drop(true);
        run_command(command).await
    };
    std::fs::write(folder.path().join("broken.wasm"), "no component").unwrap();
    std::fs::write(folder.path().join("pgq-host.toml"), "[plugins.hostile]\nenqueue = [\"*\"]\n").unwrap();
    let (hello, hostile, timetable) = (guest("hello"), guest("hostile"), guest("scheduled"));
    let path = |path: &std::path::Path| path.display().to_string();
    let inspect = ["plugin", "inspect", &path(&hello), &path(&hostile), &path(&timetable), "broken.wasm"];
    printed.add("plugin inspect", &cli(&inspect).await);
    for args in [
        &["--entrypoint", "echo", "--payload", "{\"a\": 1}"][..],
        &["--entrypoint", "panics"],
        &["--entrypoint", "fail", "--payload", "x"],
    ] {
        printed.add("plugin run", &cli(&[&["plugin", "run", &path(&hostile)], args].concat()).await);
    }
    printed.add(
        "plugin run",
        &cli(&["plugin", "run", &path(&hostile), "--entrypoint", "follow_up", "--payload", "complete"]).await,
    );
    printed.add("plugin new", &cli(&["plugin", "new", "made"]).await);
    printed.add("plugin keygen", &cli(&["plugin", "keygen", "release"]).await);
    std::fs::copy(&hello, folder.path().join("hello.wasm")).unwrap();
    printed.add("plugin sign", &cli(&["plugin", "sign", "hello.wasm", "--key", "release.key"]).await);
    std::fs::copy(&hostile, folder.path().join("unsigned.wasm")).unwrap();
    let verify = ["plugin", "verify", "hello.wasm", "unsigned.wasm", "--key", "release.pub"];
    printed.add("plugin verify", &cli(&verify).await);
    if let Some(registry) = Registry::start().await {
        let reference = registry.reference("hello:1");
        let push = ["plugin", "push", "hello.wasm", &reference, "--key", "release.key"];
        printed.add("plugin push", &cli(&push).await);
        printed.add("plugin pull", &cli(&["plugin", "pull", &reference, "--out", "pulled"]).await);
        let unsigned = registry.reference("hello:2");
        printed.add("plugin push", &cli(&["plugin", "push", "hello.wasm", &unsigned]).await);
        printed.add("plugin pull", &cli(&["plugin", "pull", &unsigned, "--out", "unsigned"]).await);
        printed.add("plugin lock", &cli(&["plugin", "lock", "--plugins", &reference]).await);
    }
    std::fs::create_dir(folder.path().join("source")).unwrap();
    let recipe = format!(
        "artifact = \"hello.wasm\"\nsteps = [[\"cp\", \"{}\", \"hello.wasm\"]]\ninstall = \"get cp\"\n",
        path(&hello)
    );
    std::fs::write(folder.path().join("source/pgq-plugin.toml"), recipe).unwrap();
    printed.add("plugin build", &cli(&["plugin", "build", "source", "--out", "plugins"]).await);
}

#[tokio::test]
async fn what_the_verbs_print_as_json_is_what_the_page_says() {
    let mut printed = Printed(BTreeMap::new());
    of_the_queue(&mut printed).await;
    of_sealing(&mut printed).await;
    of_retention(&mut printed).await;
    of_a_host(&mut printed).await;
    of_plugins(&mut printed).await;
    let (head, mut sections) = page();
    let (mut mistakes, all) = (Vec::new(), verbs());
    let is_excused = |verb: &&String| OF_REGISTRIES.contains(&verb.as_str());
    mistakes.extend(
        all.iter()
            .filter(|verb| !printed.0.contains_key(*verb) && !is_excused(verb))
            .map(|verb| format!("this test does not run {verb}")),
    );
    mistakes.extend(sections.keys().filter(|verb| !all.contains(*verb)).map(|verb| format!("{verb} has no --json")));
    for (verb, values) in &printed.0 {
        let known = sections.entry(verb.clone()).or_default();
        let mut found = BTreeMap::new();
        values.iter().for_each(|value| walk("", value, known, &mut found));
        // Elements of a list tell what it is.
        let lists: Vec<String> = found.keys().filter_map(|field| field.strip_suffix("[]").map(str::to_owned)).collect();
        found.retain(|field, _| !lists.contains(field));
        let is_list = |field: &str| found.keys().any(|other| other.starts_with(&format!("{field}[]")));
        let told: BTreeMap<&String, &BTreeSet<String>> =
            found.iter().filter(|(field, kinds)| !is_list(field) || kinds.len() > 1).collect();
        mistakes.extend(
            known
                .keys()
                .filter(|field| !told.contains_key(field))
                .map(|field| format!("{verb}: nothing prints {field}")),
        );
        known.retain(|field, _| told.contains_key(field));
        for (field, kinds) in told {
            let (said, meaning) = known.entry(field.clone()).or_default();
            // A page may know of a type that is rare; what is printed has to be one that it knows.
            if !kinds.is_subset(said) {
                mistakes.push(format!("{verb}: {field} is {kinds:?}, and the page says {said:?}"));
                said.extend(kinds.iter().cloned());
            }
            if meaning.is_empty() {
                mistakes.push(format!("{verb}: the page does not say what {field} means"));
            }
        }
    }
    if std::env::var_os("PGQ_UPDATE_SNAPSHOTS").is_some() {
        let row = |(field, (kinds, meaning)): (&String, &(BTreeSet<String>, String))| {
            let kinds: Vec<&str> = kinds.iter().map(String::as_str).collect();
            format!("| `{field}` | {} | {meaning} |\n", kinds.join(" or "))
        };
        let section = |(verb, fields): (&String, &Fields)| {
            format!("\n### {verb}\n\n| field | type | |\n|---|---|---|\n{}", fields.iter().map(row).collect::<String>())
        };
        std::fs::write(PAGE, head.trim_end().to_owned() + "\n" + &sections.iter().map(section).collect::<String>())
            .expect("written");
    }
    assert!(
        mistakes.is_empty(),
        "{}\n\nPGQ_UPDATE_SNAPSHOTS=1 writes fields and types; the words are yours",
        mistakes.join("\n")
    );
}
