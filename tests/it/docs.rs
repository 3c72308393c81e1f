//! Compares the documentation with the program, in both directions: verbs, options, variables,
//! defaults, metrics, links.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use clap::{Arg, Command, CommandFactory as _};
use pgq_host::cli::Cli;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().canonicalize().unwrap()
}

fn page(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every visible verb, by its words.
fn verbs() -> BTreeMap<String, Command> {
    fn walk(path: &str, command: &Command, found: &mut BTreeMap<String, Command>) {
        let children: Vec<&Command> =
            command.get_subcommands().filter(|child| !child.is_hide_set() && child.get_name() != "help").collect();
        if children.is_empty() {
            found.insert(path.to_owned(), command.clone());
        }
        for child in children {
            walk(format!("{path} {}", child.get_name()).trim(), child, found);
        }
    }
    let mut found = BTreeMap::new();
    walk("", &Cli::command(), &mut found);
    found
}

/// The options with a long name, except `--help` and hidden ones.
fn options(command: &Command) -> Vec<&Arg> {
    let shown =
        |arg: &&Arg| arg.get_long().is_some_and(|long| long != "help" && long != "version") && !arg.is_hide_set();
    command.get_arguments().filter(shown).collect()
}

/// The default as a word of the code: the declared one, or the one that the help states. Prose is
/// not compared.
fn default(arg: &Arg) -> Option<String> {
    let declared = arg.get_default_values().first().map(|value| value.to_string_lossy().into_owned());
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    let told =
        help.split_once("[default: ").and_then(|(_, rest)| rest.split_once(']')).map(|(word, _)| word.to_owned());
    let is_word =
        |word: &String| !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c));
    declared.filter(|_| arg.get_action().takes_values()).or(told).filter(is_word)
}

/// The text with its numbers as a program writes them.
fn plain(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    let kept = (0..characters.len()).filter(|&at| !(characters[at] == ',' && at > 0 && digit(at - 1) && digit(at + 1)));
    kept.map(|at| characters[at]).collect()
}

fn has_word(text: &str, word: &str) -> bool {
    plain(text)
        .split(|c: char| !(c.is_ascii_alphanumeric() || "_.-".contains(c)))
        .any(|part| part.trim_end_matches('.') == word)
}

/// The `--words` in a text.
fn flags(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'));
    words
        .filter_map(|word| word.strip_prefix("--"))
        .filter(|word| word.starts_with(|c: char| c.is_ascii_lowercase()))
        .map(Into::into)
        .collect()
}

/// The sections of a page, by their headings.
fn sections(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    let mut fenced = false;
    for line in text.lines() {
        fenced ^= line.starts_with("```");
        match line.strip_prefix("##").filter(|_| !fenced) {
            Some(heading) => found.push((heading.trim_start_matches('#').trim().to_owned(), String::new())),
            None => found.last_mut().into_iter().for_each(|(_, body)| body.extend([line, "\n"])),
        }
    }
    found
}

/// The rows of a section's tables that start with an option: the options, and the whole row.
fn rows(body: &str) -> Vec<(BTreeSet<String>, &str)> {
    let rows = body.lines().filter(|line| line.starts_with("| `-"));
    rows.map(|row| (flags(row.split(" | ").next().unwrap()), row)).filter(|(flags, _)| !flags.is_empty()).collect()
}

/// The heading of a verb is its words, then its arguments. `sql` has one heading for all of its
/// verbs.
fn section_of<'a>(sections: &'a [(String, String)], verb: &str) -> Option<&'a str> {
    let is_it = |heading: &str| heading.strip_prefix(verb).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    let sql = |heading: &str| {
        verb.strip_prefix("sql ").is_some_and(|verb| heading.starts_with("sql ") && has_word(heading, verb))
    };
    sections.iter().find(|(heading, _)| is_it(heading) || sql(heading)).map(|(_, body)| body.as_str())
}

#[test]
fn every_verb_and_option_is_in_cli_md_with_its_variable_and_default_and_nothing_else_is() {
    let text = page("docs/cli.md");
    let sections = sections(&text);
    let mut mistakes = Vec::new();
    let run = rows(section_of(&sections, "run").expect("a section of run"));
    let check = |what: &str, command: &[&Arg], body: &str, mistakes: &mut Vec<String>| {
        let rows = rows(body);
        for arg in command {
            let long = arg.get_long().unwrap();
            let Some((_, row)) = rows.iter().find(|(flags, _)| flags.contains(long)) else {
                mistakes.push(format!("{what}: --{long} has no row in docs/cli.md"));
                continue;
            };
            // `as [run](#run) has them`
            let row = match row.contains("(#run)") {
                true => run.iter().find(|(flags, _)| flags.contains(long)).map_or(*row, |(_, row)| *row),
                false => row,
            };
            if let Some(default) = default(arg).filter(|default| !has_word(row, default)) {
                mistakes.push(format!("{what}: --{long} is {default} by default, and docs/cli.md says: {row}"));
            }
            if let Some(variable) =
                arg.get_env().map(|name| name.to_string_lossy()).filter(|name| !row.contains(&**name))
            {
                mistakes.push(format!("{what}: --{long} is also {variable}, and docs/cli.md says: {row}"));
            }
        }
        for flag in rows.iter().flat_map(|(flags, _)| flags) {
            if !command.iter().any(|arg| arg.get_long() == Some(flag)) {
                mistakes.push(format!("{what} has no option --{flag}, which docs/cli.md lists"));
            }
        }
    };
    let all = verbs();
    for (verb, command) in &all {
        match section_of(&sections, verb) {
            // The options of `sql` verbs are those of the verbs with the same name.
            Some(_) if verb.starts_with("sql ") => {}
            Some(body) => check(verb, &options(command), body, &mut mistakes),
            None => mistakes.push(format!("{verb} has no section in docs/cli.md")),
        }
    }
    let command = Cli::command();
    let (_, body) =
        sections.iter().find(|(heading, _)| heading == "Options of every verb").expect("the global options");
    check("every verb", &options(&command), body, &mut mistakes);
    for line in text.lines().filter_map(|line| line.strip_prefix("### ")) {
        let known = |verb: &String| line == verb || line.starts_with(&format!("{verb} "));
        if !all.keys().any(known) && !line.starts_with("sql ") {
            mistakes.push(format!("docs/cli.md has the section {line:?}, and there is no such verb"));
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// The tables of README and of the deployment page repeat defaults of `run`.
#[test]
fn a_default_that_another_page_repeats_is_the_same() {
    let verbs = verbs();
    let run = options(&verbs["run"]);
    let mut mistakes = Vec::new();
    for path in ["README.md", "docs/deployment.md"] {
        let text = page(path);
        for row in text.lines().filter(|line| line.starts_with("| `")) {
            let cells: Vec<&str> = row.split(" | ").collect();
            let names = |arg: &&&Arg| {
                let variable = arg.get_env().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
                let first = cells[0].trim_start_matches("| ").trim_matches('`');
                first == format!("--{}", arg.get_long().unwrap()) || first == variable
            };
            let Some(arg) = run.iter().find(names) else { continue };
            if let Some(default) = default(arg).filter(|default| cells.len() > 2 && !has_word(cells[1], default)) {
                mistakes.push(format!("{path}: --{} is {default} by default: {row}", arg.get_long().unwrap()));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// The source text of all crates except for their tests.
fn source() -> String {
    fn walk(path: &Path, all: &mut String) {
        for entry in fs::read_dir(path).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, all);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                all.push_str(text.split("#[cfg(test)]\nmod tests").next().unwrap());
            }
        }
    }
    let mut all = String::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        walk(&entry.unwrap().path().join("src"), &mut all);
    }
    walk(&root().join("host/src"), &mut all);
    all
}

/// Every name in the text that starts with `prefix`.
fn names(text: &str, prefix: &str, goes_on: impl Fn(char) -> bool) -> BTreeSet<String> {
    let starts = text.match_indices(prefix).map(|(at, _)| at);
    let own = starts.filter(|&at| !text[..at].ends_with(|c: char| c.is_ascii_alphanumeric() || c == '_'));
    own.map(|at| text[at..].chars().take_while(|&c| goes_on(c)).collect::<String>())
        .filter(|name| name.len() > prefix.len())
        .collect()
}

#[test]
fn every_variable_is_documented_and_every_documented_one_is_read() {
    let variable = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
    let quoted = |prefix: &str| names(&source(), &format!("\"{prefix}"), |c| variable(c) || c == '"');
    let mut read: BTreeSet<String> = ["PGQ_HOST_", "PGQUEUER_"]
        .iter()
        .flat_map(|prefix| quoted(prefix))
        .map(|name| name.trim_matches('"').to_owned())
        .collect();
    // Composed of a prefix and a word (`names.rs`), read by cargo's build script, or by the compose
    // file.
    read.extend(
        [
            "CHANNEL",
            "FUNCTION",
            "TRIGGER",
            "QUEUE_TABLE",
            "QUEUE_TABLE_LOG",
            "STATISTICS_TABLE",
            "SCHEDULES_TABLE",
            "QUEUE_STATUS_TYPE",
        ]
        .map(|name| format!("PGQUEUER_{name}")),
    );
    // Set by the build script for the compiler.
    read.remove("PGQ_HOST_BUILD");
    // For tests of the host itself.
    read.retain(|name| !name.starts_with("PGQ_HOST_TEST_"));
    let elsewhere = [
        "PGQ_HOST_REVISION",
        "PGQ_HOST_IMAGE",
        "PGQUEUER_TABLEFMT",
        "PGQUEUER_WEB_HOST",
        "PGQUEUER_WEB_PORT",
        "PGQUEUER_WEB_USER",
        "PGQUEUER_WEB_PASSWORD",
    ];
    let mut told = String::new();
    for path in ["docs/cli.md", "docs/compatibility.md", "docs/deployment.md", "docs/plugins.md"] {
        told += &page(path);
    }
    // `PGQUEUER_CHANNEL`, `_FUNCTION`, ...
    let told_names: BTreeSet<String> =
        ["PGQ_HOST_", "PGQUEUER_"].iter().flat_map(|prefix| names(&told, prefix, variable)).collect();
    let short = |name: &str| name.strip_prefix("PGQUEUER").is_some_and(|rest| told.contains(&format!("`{rest}`")));
    let unread: Vec<_> =
        told_names.iter().filter(|name| !read.contains(*name) && !elsewhere.contains(&name.as_str())).collect();
    let untold: Vec<_> =
        read.iter().filter(|name| !name.ends_with('_') && !told_names.contains(*name) && !short(name)).collect();
    assert!(
        unread.is_empty() && untold.is_empty(),
        "documented and not read: {unread:?}; read and not documented: {untold:?}"
    );
}

#[test]
fn every_metric_is_in_metrics_md_and_nothing_else_is() {
    let name = |c: char| c.is_ascii_lowercase() || c == '_';
    let counted: BTreeSet<String> = names(&source(), "\"pgq_host_", |c| name(c) || c == '"')
        .into_iter()
        .filter(|name| name.ends_with('"'))
        .map(|name| name.trim_matches('"').to_owned())
        .collect();
    let text = page("docs/metrics.md");
    let rows = text.lines().filter(|line| line.starts_with("| `pgq_host_"));
    let told: BTreeSet<String> =
        rows.map(|row| row.trim_start_matches("| `").chars().take_while(|&c| name(c)).collect()).collect();
    assert_eq!(told, counted);
    for path in ["README.md", "docs/reload.md", "docs/scaling.md", "docs/deployment.md", "docs/performance.md"] {
        let stray: Vec<_> = names(&page(path), "pgq_host_", name)
            .into_iter()
            .filter(|name| !counted.contains(name.trim_end_matches('_')))
            .collect();
        assert!(stray.iter().all(|name| name.ends_with('_')), "{path} names metrics that there are not: {stray:?}");
    }
}

/// The verbs of PgQueuer 1.6.0, as `pgq --help` and `pgq sql --help` list them.
const PGQUEUERS: [&str; 18] = [
    "install",
    "verify",
    "uninstall",
    "upgrade",
    "dashboard",
    "web",
    "listen",
    "run",
    "schedules",
    "queue",
    "failed",
    "requeue",
    "stale",
    "workers",
    "backlog",
    "durability",
    "autovac",
    "sql",
];

#[test]
fn compatibility_md_speaks_of_every_verb_of_both_tools() {
    let text = page("docs/compatibility.md");
    let commands = &sections(&text).into_iter().find(|(heading, _)| heading == "Commands").expect("commands").1;
    let ours = verbs().into_keys().map(|verb| verb.split(' ').next_back().unwrap().to_owned());
    let known = |verb: &str| commands.contains(&format!("`{verb}")) || commands.contains(&format!("`plugin {verb}"));
    let silent: Vec<String> = ours.chain(PGQUEUERS.map(str::to_owned)).filter(|verb| !known(verb)).collect();
    assert!(silent.is_empty(), "docs/compatibility.md says nothing of {silent:?}");
    // Verbs that PgQueuer has and we do not are listed as missing.
    let top: BTreeSet<String> = verbs().into_keys().map(|verb| verb.split(' ').next().unwrap().to_owned()).collect();
    for verb in PGQUEUERS.iter().filter(|verb| !top.contains(**verb)) {
        let row = commands.lines().find(|line| line.contains(&format!("`{verb}`"))).unwrap();
        assert!(row.contains("not there yet"), "{row}");
    }
}

/// Every page that people read.
fn pages() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") && !path.ends_with("node_modules") {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "md") {
                found.push(path);
            }
        }
    }
    let mut found: Vec<PathBuf> = fs::read_dir(root()).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.retain(|path| path.extension().is_some_and(|extension| extension == "md"));
    for folder in ["docs", "deploy", "migrations", "plugins-example", "sdk"] {
        walk(&root().join(folder), &mut found);
    }
    found
}

/// The relative links of a page, without those in code.
fn links(text: &str) -> Vec<String> {
    let mut fenced = false;
    let prose: String = text
        .lines()
        .filter(|line| {
            fenced ^= line.trim_start().starts_with("```");
            !fenced
        })
        .flat_map(|line| [line, "\n"])
        .collect();
    let targets =
        prose.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target.to_owned()));
    targets.filter(|target| !target.contains("://") && !target.starts_with("mailto:")).collect()
}

/// In GitHub's spelling.
fn anchors(text: &str) -> BTreeSet<String> {
    let mut fenced = false;
    let headings = text.lines().filter(|line| {
        fenced ^= line.starts_with("```");
        !fenced && line.starts_with('#')
    });
    let slug = |heading: &str| {
        let kept = heading.trim_start_matches('#').trim().to_lowercase();
        kept.chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
            .map(|c| if c == ' ' { '-' } else { c })
            .collect()
    };
    headings.map(slug).collect()
}

#[test]
fn every_link_leads_somewhere_and_every_page_is_found() {
    let (mut broken, mut found) = (Vec::new(), BTreeSet::new());
    for path in pages() {
        let text = fs::read_to_string(&path).unwrap();
        for link in links(&text) {
            let (file, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let target = if file.is_empty() { path.clone() } else { path.parent().unwrap().join(file) };
            let Ok(target) = target.canonicalize() else {
                broken.push(format!("{}: {link}", path.display()));
                continue;
            };
            if !anchor.is_empty() && !anchors(&fs::read_to_string(&target).unwrap_or_default()).contains(anchor) {
                broken.push(format!("{}: {link} (no such heading)", path.display()));
            }
            if target != path {
                found.insert(target);
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    let docs = pages().into_iter().filter(|path| path.starts_with(root().join("docs")));
    let lost: Vec<_> = docs.filter(|path| !found.contains(path)).collect();
    assert!(lost.is_empty(), "no page links to {lost:?}");
}

#[test]
fn every_variable_of_a_connection_is_on_its_page() {
    let page = page("docs/connecting.md");
    let missing: Vec<&str> =
        pgq_queue::connection_variables().filter(|name| !page.contains(&format!("{name}`"))).collect();
    assert!(missing.is_empty(), "docs/connecting.md lacks {missing:?}");
}
