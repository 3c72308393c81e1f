//! Compares docs/logging.md with the code: every field that the host logs is in the table of
//! fields, and no other.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The scaffold's template is a guest.
        if path.is_dir() && !path.ends_with("template") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The arguments of each event macro in this text.
fn events(text: &str) -> Vec<&str> {
    let levels = ["error", "warn", "info", "debug", "trace", "$level"];
    let starts = levels.iter().flat_map(|level| {
        let call = format!("tracing::{level}!(");
        text.match_indices(&call).map(|(at, call)| at + call.len()).collect::<Vec<_>>()
    });
    starts.map(|start| &text[start..start + end(&text[start..], &[')'])]).collect()
}

/// The position of the first of these characters outside brackets and strings.
fn end(text: &str, wanted: &[char]) -> usize {
    let (mut depth, mut quoted, mut escaped) = (0, false, false);
    for (at, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            c if depth == 0 && wanted.contains(&c) => return at,
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth -= 1,
            _ => {}
        }
    }
    text.len()
}

/// The names of an event's fields, which precede its message.
fn fields(event: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut rest = event;
    while !rest.trim_start().is_empty() {
        let at = end(rest, &[',']);
        let part = rest[..at].trim();
        rest = rest.get(at + 1..).unwrap_or_default();
        if part.starts_with('"') {
            break;
        }
        if part.starts_with("target:") {
            continue;
        }
        if let Some(block) = part.strip_prefix('{') {
            names.extend(fields(block.trim_end_matches('}')));
            continue;
        }
        let name = part.split('=').next().unwrap().trim().trim_start_matches(['%', '?']);
        names.insert(name.to_owned());
    }
    names
}

/// The first column of the table under this heading.
fn documented(page: &str, heading: &str) -> BTreeSet<String> {
    let section = page.split_once(&format!("## {heading}\n")).expect("a section").1;
    let section = section.split("\n## ").next().unwrap();
    let cells = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('|').next());
    cells.flat_map(|cell| cell.split(',')).map(|name| name.trim().trim_matches('`').to_owned()).collect()
}

#[test]
fn fields_are_those_of_the_code() {
    let mut files = Vec::new();
    sources(&root().join("host/src"), &mut files);
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        sources(&entry.unwrap().path().join("src"), &mut files);
    }
    let mut used = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        for event in events(&text) {
            assert!(
                !event.contains("=?") && !event.contains("= ?") && !event.starts_with('?'),
                "Rust's debug output is no text for people: {event}"
            );
            used.extend(fields(event));
        }
    }
    assert!(used.len() > 20 && used.contains("job.id"), "{used:?}");
    for reserved in ["timestamp", "level", "target", "message"] {
        assert!(!used.contains(reserved), "{reserved} is every event's own; call the field something else");
    }
    let page = fs::read_to_string(root().join("docs/logging.md")).unwrap();
    let documented = documented(&page, "Fields");
    let missing: Vec<_> = used.difference(&documented).collect();
    let gone: Vec<_> = documented.difference(&used).collect();
    assert!(
        missing.is_empty() && gone.is_empty(),
        "docs/logging.md lacks {missing:?}, and has {gone:?}, which nothing logs"
    );
}

#[test]
fn an_events_fields_are_read_off_its_code() {
    let text = r#"tracing::warn!(%worker, job.id = id, error = %format!("{a}, {b:#}"), jobs, "it was {}, {c}", late = 1); tracing::info!("plain");"#;
    let found: Vec<Vec<String>> = events(text).into_iter().map(|event| fields(event).into_iter().collect()).collect();
    assert_eq!(found, [vec!["error", "job.id", "jobs", "worker"], vec![]]);
    let guest = r#"tracing::$level!(target: "x", { job.id = job, batch, plugin = %plugin }, "{message}")"#;
    assert_eq!(fields(events(guest)[0]).into_iter().collect::<Vec<_>>(), ["batch", "job.id", "plugin"]);
}
