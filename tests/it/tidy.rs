//! The invariants of ARCHITECTURE.md that can be checked in the source.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &str) -> Vec<(String, String)> {
    fn walk(path: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    let name = |path: &Path| path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
    found.into_iter().map(|path| (name(&path), fs::read_to_string(&path).unwrap())).collect()
}

/// The source folders of all crates except the tests.
fn crates() -> Vec<String> {
    let entries = fs::read_dir(root().join("crates")).unwrap();
    let name = |entry: fs::DirEntry| format!("crates/{}/src", entry.file_name().to_string_lossy());
    entries.map(|entry| name(entry.unwrap())).chain(["host/src".to_owned()]).collect()
}

/// No file outside `allowed` has `word` in its code (comments aside).
fn only(word: &str, allowed: &[&str]) {
    for (name, text) in crates().iter().flat_map(|folder| sources(folder)) {
        if allowed.iter().any(|allowed| name.starts_with(allowed)) {
            continue;
        }
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            assert!(!line.contains(word), "{name} names {word}: {line}");
        }
    }
}

/// Which crate may use which others is in the manifests, and in the table of ARCHITECTURE.md.
#[test]
fn crates_know_what_they_are_meant_to_know() {
    let architecture = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let rows = architecture.lines().filter_map(|line| line.strip_prefix("| `crates/")?.split_once("` | "));
    let wanted: Vec<(String, Vec<String>)> = rows
        .map(|(name, rest)| {
            let ours = rest.split('|').next().unwrap_or_default().split(", ").map(str::trim);
            (format!("crates/{name}"), ours.filter(|one| !one.is_empty()).map(|one| format!("pgq-{one}")).collect())
        })
        .collect();
    assert_eq!(wanted.len(), crates().len() - 1, "a crate came or went");
    for (folder, ours) in wanted {
        let manifest = fs::read_to_string(root().join(&folder).join("Cargo.toml")).unwrap();
        let mut named: Vec<&str> = manifest
            .lines()
            .filter_map(|line| line.split('.').next().filter(|name| name.starts_with("pgq-")))
            .collect();
        named.sort_unstable();
        assert_eq!(named, ours, "{folder}");
        let is_named = |name: &str| manifest.lines().any(|line| line.starts_with(name));
        assert!(folder.ends_with("engine") || !is_named("wasmtime"), "only the engine names wasmtime");
        assert!(folder.ends_with("trace") || !is_named("opentelemetry"), "only traces name OpenTelemetry");
        assert!(!folder.ends_with("engine") || !is_named("sqlx"), "the engine knows no database");
        assert!(
            !["job", "cron"].iter().any(|pure| folder.ends_with(pure)) || !is_named("tokio"),
            "{folder} is plain data"
        );
    }
    let host = fs::read_to_string(root().join("host/Cargo.toml")).unwrap();
    assert!(!host.contains("wasmtime"), "only the engine names wasmtime");
    assert!(!host.contains("opentelemetry"), "only traces name OpenTelemetry");
}

#[test]
fn cron_knows_no_clock() {
    for (name, text) in sources("crates/pgq-cron/src") {
        assert!(!text.split("#[cfg(test)]").next().unwrap().contains("::now()"), "{name} asks a clock");
    }
}

#[test]
fn only_app_spawns_what_outlives_a_call() {
    // The executor spawns one task per job, on the guests' runtime. The embedded server is not part
    // of a worker. The relay's tasks are connections of the driver, and end with them.
    only("tokio::spawn", &["host/src/app", "crates/pgq-embedded", "crates/pgq-connect/src/relay.rs"]);
}

#[test]
fn nothing_is_printed_by_what_panics_when_nobody_reads() {
    // The scaffold's template is a guest.
    for word in ["println!(", "print!(", "dbg!("] {
        only(word, &["host/src/scaffold/template"]);
    }
}

/// Opening and sealing cost no statement: what does it has no way to the database.
#[test]
fn sealing_knows_no_database() {
    let files = ["host/src/sealing.rs", "host/src/executor/opening.rs", "host/src/executor/sealed_outcome.rs"];
    let is_one = |name: &str| name.starts_with("host/src/sealing/") || files.contains(&name);
    for (name, text) in sources("host/src").into_iter().filter(|(name, _)| is_one(name)) {
        for word in ["pgq_queue", "sqlx", "self.queue"] {
            assert!(!text.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn unsafe_code_is_where_it_is_explained() {
    only("unsafe {", &["host/src/allocator.rs", "crates/pgq-engine/src/cache.rs", "crates/pgq-embedded"]);
}

#[test]
fn every_module_says_what_it_is_for() {
    let others = ["plugin-sdk/src", "tests/src", "tests/it", "tests/guests"].map(str::to_owned);
    for folder in crates().into_iter().chain(others) {
        for (name, text) in sources(&folder) {
            let generated = name.contains("/target/");
            assert!(generated || text.starts_with("//!"), "{name} does not open with a //! line");
        }
    }
}

/// Files included from outside a crate's folder are included through a link, which cargo packs as
/// the file it points to.
#[test]
fn crates_are_whole_in_their_packages() {
    for (package, needed) in [
        (
            "pgq-host",
            &[
                "wit/world.wit",
                "sdk/lib.rs",
                "sdks/python/pgq/component.py",
                "sdks/js/src/component.js",
                "sdks/c/adapter.wasm",
                "sdks/go/adapter.wasm",
                "src/scaffold/go/go.mod.in",
                "src/scaffold/sdk/Cargo.toml.in",
                "LICENSE-MIT",
            ][..],
        ),
        ("pgq-queue", &["migrations/0001_pgqueuer.sql", "migrations/0002_pgq_host.sql", "src/sql/worker/claim.sql"]),
        ("pgq-engine", &["wit/world.wit"]),
        ("pgq-plugin-sdk", &["wit/world.wit", "src/lib.rs", "LICENSE-APACHE"]),
    ] {
        let mut cargo = std::process::Command::new("cargo");
        cargo.args(["package", "--list", "--allow-dirty", "--offline", "-p", package]).current_dir(root());
        let output = cargo.output().unwrap();
        let listed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        for file in needed {
            assert!(listed.lines().any(|line| line == *file), "{package} is packed without {file}:\n{listed}");
        }
    }
    for (name, text) in crates().iter().flat_map(|folder| sources(folder)).chain(sources("plugin-sdk/src")) {
        let package = if name.starts_with("crates/") { 3 } else { 2 };
        let own = name.split('/').count() - package;
        let includes =
            text.lines().filter(|line| line.contains("include_str!(\"") || line.contains("include_bytes!(\""));
        let outside: Vec<&str> = includes.filter(|line| line.matches("../").count() > own).collect();
        assert!(outside.is_empty(), "{name} includes what is not in its package: {outside:?}");
    }
}

/// The driver's own text for a server's error ends with a line of PostgreSQL's source code.
#[test]
fn errors_of_the_database_are_logged_in_the_servers_words() {
    let about_the_database = [
        "crates/pgq-queue/src",
        "host/src/recorder",
        "host/src/maintenance",
        "host/src/announce",
        "host/src/lease",
        "host/src/worker",
        "host/src/schedules",
        "host/src/telemetry/gauges",
    ];
    for (name, text) in crates().iter().flat_map(|folder| sources(folder)) {
        if about_the_database.iter().any(|module| name.starts_with(module)) {
            assert!(!text.contains("error = %error,"), "{name} logs an error as the driver has it: use error.told()");
        }
    }
}

/// All that is released together has one version, and the contract has its compatible part.
#[test]
fn the_version_is_one() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let manifest = read("Cargo.toml");
    let version =
        manifest.lines().find_map(|line| line.strip_prefix("version = ")).unwrap().trim_matches('"').to_owned();
    for line in manifest.lines().filter(|line| line.starts_with("pgq-") && line.contains("path = ")) {
        assert!(line.contains(&format!("version = \"{version}\"")), "{line}");
    }
    for (path, wanted) in [
        ("sdk/python/pyproject.toml", format!("\nversion = \"{version}\"\n")),
        ("sdk/js/package.json", format!("\"version\": \"{version}\"")),
        ("deploy/helm/pgq-host/Chart.yaml", format!("\nversion: {version}\nappVersion: {version}\n")),
        ("deploy/kubernetes/base/kustomization.yaml", format!("newTag: {version}\n")),
    ] {
        assert!(read(path).contains(&wanted), "{path} has another version than {version}");
    }
    let (compatible, _) = version.rsplit_once('.').unwrap();
    assert!(read("wit/world.wit").contains(&format!("package pgq:plugin@{compatible}.")));
}
