//! The invariants of ARCHITECTURE.md that can be read off the source.

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

/// No file of `host/src` outside `allowed` has `word` in its code (comments aside).
fn only(word: &str, allowed: &[&str]) {
    for (name, text) in sources("host/src") {
        if allowed.iter().any(|allowed| name.starts_with(&format!("host/src/{allowed}"))) {
            continue;
        }
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with("//")) {
            assert!(!line.contains(word), "{name} names {word}: {line}");
        }
    }
}

#[test]
fn only_wasm_names_wasmtime() {
    only("wasmtime", &["wasm"]);
}

#[test]
fn wasm_knows_no_database_and_queue_no_wasm() {
    for (name, text) in sources("host/src/wasm") {
        assert!(!text.contains("sqlx"), "{name} names sqlx");
        assert!(!text.contains("crate::queue"), "{name} names the queue");
    }
    for (name, text) in sources("host/src/queue") {
        assert!(!text.contains("crate::wasm"), "{name} names wasm");
    }
}

#[test]
fn cron_is_pure() {
    for (name, text) in sources("host/src").into_iter().filter(|(name, _)| name.starts_with("host/src/cron")) {
        let code = text.split("#[cfg(test)]").next().unwrap();
        for word in ["crate::", "sqlx", "wasmtime", "tokio", "::now()"] {
            assert!(!code.contains(word), "{name} names {word}");
        }
    }
}

#[test]
fn the_job_is_plain_data() {
    let text = fs::read_to_string(root().join("host/src/job.rs")).unwrap();
    for word in ["sqlx", "wasmtime", "tokio", "crate::"] {
        assert!(!text.contains(word), "job.rs names {word}");
    }
}

#[test]
fn only_app_spawns_what_outlives_a_call() {
    // The executor spawns one task per job, on the guests' runtime; the embedded server is not part of a worker.
    only("tokio::spawn", &["app.rs", "app/", "embedded"]);
}

#[test]
fn nothing_is_printed_by_what_panics_when_nobody_reads() {
    // The scaffold's template is a guest.
    for word in ["println!(", "print!(", "dbg!("] {
        only(word, &["scaffold/template"]);
    }
}

#[test]
fn unsafe_code_is_where_it_is_explained() {
    only("unsafe {", &["allocator.rs", "wasm/cache.rs", "embedded"]);
}

#[test]
fn every_module_says_what_it_is_for() {
    for folder in ["host/src", "plugin-sdk/src", "tests/src", "tests/it", "tests/guests"] {
        for (name, text) in sources(folder) {
            let generated = name.contains("/target/");
            assert!(generated || text.starts_with("//!"), "{name} does not open with a //! line");
        }
    }
}

/// What is included from outside of its folder is there by a link, which cargo packs as what it leads to.
#[test]
fn both_crates_are_whole_in_their_packages() {
    for (package, needed) in [
        (
            "pgq-host",
            &[
                "migrations/0001_pgqueuer.sql",
                "migrations/0002_pgq_host.sql",
                "wit/world.wit",
                "sdk/lib.rs",
                "src/scaffold/sdk/Cargo.toml.in",
                "LICENSE-MIT",
            ][..],
        ),
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
    for (name, text) in sources("host/src").into_iter().chain(sources("plugin-sdk/src")) {
        let own = name.split('/').count() - 2;
        let includes = text.lines().filter(|line| line.contains("include_str!(\"") || line.contains("include_bytes!(\""));
        let outside: Vec<&str> = includes.filter(|line| line.matches("../").count() > own).collect();
        assert!(outside.is_empty(), "{name} includes what is not in its package: {outside:?}");
    }
}

/// The driver's own text of a server's error ends with a line of PostgreSQL's source.
#[test]
fn errors_of_the_database_are_logged_in_the_servers_words() {
    let about_the_database = ["queue", "recorder", "maintenance", "announce", "lease", "worker", "schedules", "telemetry/gauges"];
    for (name, text) in sources("host/src") {
        if about_the_database.iter().any(|module| name.starts_with(&format!("host/src/{module}"))) {
            assert!(!text.contains("error = %error,"), "{name} logs an error as the driver has it: use error.told()");
        }
    }
}
