//! What helps at a shell: completions, manual pages, examples in the help, and how much is said.

use std::collections::BTreeMap;
use std::process::Stdio;

use clap::Command;
use pgq_host::cli::Cli;
use pgq_host_tests::{CliOutput, Database, Plugins, host_binary, pgq_host, run_command};

async fn alone(args: &[&str]) -> CliOutput {
    let mut command = pgq_host("postgresql://u@127.0.0.1:1/d");
    command.args(args);
    run_command(command).await
}

/// Every visible verb, by its words.
fn verbs(command: &Command, path: &str, found: &mut BTreeMap<String, Command>) {
    let children: Vec<&Command> =
        command.get_subcommands().filter(|verb| !verb.is_hide_set() && verb.get_name() != "help").collect();
    if children.is_empty() {
        found.insert(path.to_owned(), command.clone());
    }
    for verb in children {
        verbs(verb, format!("{path} {}", verb.get_name()).trim(), found);
    }
}

/// As a shell splits a line, without what it would send elsewhere.
fn words(line: &str) -> Vec<String> {
    let line = line
        .split([">", "|"].as_slice().iter().find(|mark| line.contains(**mark)).copied().unwrap_or("\n"))
        .next()
        .unwrap();
    let (mut words, mut word, mut quoted) = (Vec::new(), String::new(), false);
    for c in line.chars() {
        match c {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.extend((!word.is_empty()).then(|| std::mem::take(&mut word))),
            c => word.push(c),
        }
    }
    words.extend((!word.is_empty()).then_some(word));
    words
}

#[test]
fn every_verb_has_examples_in_its_help_that_are_what_it_takes() {
    let mut all = BTreeMap::new();
    verbs(&Cli::whole(), "", &mut all);
    let mut mistakes = Vec::new();
    for (verb, mut command) in all {
        let help = command.render_help().to_string();
        let examples: Vec<&str> = help.lines().filter_map(|line| line.strip_prefix("  pgq-host ")).collect();
        if examples.is_empty() {
            mistakes.push(format!("{verb} has no example"));
        }
        for example in examples {
            let words: Vec<String> = std::iter::once("pgq-host".to_owned()).chain(words(example)).collect();
            if !example.starts_with(&verb) {
                mistakes.push(format!("{verb} has an example of another verb: {example}"));
            }
            if let Err(error) = Cli::whole().try_get_matches_from(&words) {
                mistakes.push(format!("{example}: {error}"));
            }
        }
    }
    assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
}

/// What bash offers for a line that ends here.
async fn offered(script: &str, line: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("completions");
    std::fs::write(&file, script).unwrap();
    // As readline does it: the words, which of them is typed, and the function that completes it.
    let asked = r#"source "$1"; read -r -a COMP_WORDS <<< "$2"; [[ $2 == *' ' ]] && COMP_WORDS+=('');
        COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_LINE=$2; COMP_POINT=${#2};
        "$(complete -p pgq-host | sed 's/.*-F \([^ ]*\) .*/\1/')" pgq-host "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}";
        printf '%s\n' "${COMPREPLY[@]}""#;
    let mut bash = tokio::process::Command::new("bash");
    bash.args(["-c", asked, "bash"]).arg(&file).arg(line).stdin(Stdio::null());
    let said = run_command(bash).await;
    assert_eq!(said.code, 0, "{said:?}");
    said.stdout.lines().map(|line| line.trim().to_owned()).filter(|word| !word.is_empty()).collect()
}

#[tokio::test]
async fn bash_completes_verbs_options_and_values() {
    let script = alone(&["completions", "bash"]).await.stdout;
    assert_eq!(offered(&script, "pgq-host re").await, ["requeue", "retry-now", "reschedule", "resume"]);
    assert_eq!(offered(&script, "pgq-host plugin re").await, ["reset", "reload"]);
    assert_eq!(offered(&script, "pgq-host jobs --sta").await, ["--status", "--statement-timeout"]);
    let statuses = offered(&script, "pgq-host jobs --status ").await;
    assert!(statuses.contains(&"picked".to_owned()) && statuses.contains(&"deleted".to_owned()), "{statuses:?}");
    assert_eq!(offered(&script, "pgq-host completions zs").await, ["zsh"]);
    let verbs = offered(&script, "pgq-host ").await;
    assert!(verbs.contains(&"dashboard".to_owned()), "{verbs:?}");
    assert!(!script.contains("compile-component") && !script.contains("bench-worker"), "what is hidden is not offered");
}

#[tokio::test]
async fn every_shell_has_a_script_and_an_unknown_one_is_refused_by_name() {
    for (shell, sign) in [
        ("bash", "complete -F"),
        ("zsh", "#compdef pgq-host"),
        ("fish", "complete -c pgq-host"),
        ("elvish", "edit:completion"),
        ("powershell", "Register-ArgumentCompleter"),
    ] {
        let said = alone(&["completions", shell]).await;
        assert!(said.code == 0 && said.stdout.contains(sign) && said.stdout.contains("dashboard"), "{shell}: {said:?}");
        assert!(!said.stdout.contains("compile-component"), "{shell}");
    }
    let folder = tempfile::tempdir().unwrap();
    for (shell, asked, offered) in [
        ("fish", r#"source "$argv[1]"; complete -C "pgq-host plugin re""#, "reset"),
        ("zsh", r#"zsh -n "$1" || exit; source "$1" 2> /dev/null; whence -w _pgq-host"#, "function"),
    ] {
        let script = folder.path().join(shell);
        std::fs::write(&script, alone(&["completions", shell]).await.stdout).unwrap();
        let mut command = tokio::process::Command::new(shell);
        command.arg("-c").arg(asked);
        if shell == "zsh" {
            command.arg("zsh");
        }
        let Ok(output) = command.arg(&script).output().await else {
            eprintln!("SKIPPED: there is no {shell}, so its script was not read by it");
            continue;
        };
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains(offered), "{shell}: {output:?}");
    }
    let said = alone(&["completions", "csh"]).await;
    assert!(said.code == 2 && said.stderr.contains("csh") && said.stderr.contains("bash"), "{said:?}");
}

#[tokio::test]
async fn every_verb_has_a_manual_page_that_man_formats_without_a_complaint() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("man1");
    let said = alone(&["man", "--out", out.to_str().unwrap()]).await;
    assert_eq!(said.code, 0, "{said:?}");
    let mut all = BTreeMap::new();
    verbs(&Cli::whole(), "", &mut all);
    for verb in all.keys() {
        let page = out.join(format!("pgq-host-{}.1", verb.replace(' ', "-")));
        let text = std::fs::read_to_string(&page).unwrap_or_else(|error| panic!("{verb}: {error}"));
        assert!(text.contains(".SH OPTIONS") && text.contains("Examples"), "{verb}: {text}");
    }
    assert!(!out.join("pgq-host-compile-component.1").exists() && out.join("pgq-host.1").exists());
    let mut linted = 0;
    for entry in std::fs::read_dir(&out).unwrap() {
        let path = entry.unwrap().path();
        let mut man = tokio::process::Command::new("man");
        man.args(["--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z"])
            .arg(&path)
            .env("MANROFFSEQ", "")
            .env("MANWIDTH", "80");
        let Ok(output) = man.output().await else {
            eprintln!("SKIPPED: there is no `man`, so the pages were not formatted");
            return;
        };
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && complaints.trim().is_empty(), "{}: {complaints}", path.display());
        linted += 1;
    }
    assert!(linted > 40, "{linted}");
    let page = alone(&["man", "plugin", "build"]).await;
    assert!(
        page.code == 0 && page.stdout.contains("pgq\\-host plugin build")
            || page.stdout.contains("PGQ-HOST-PLUGIN-BUILD"),
        "{page:?}"
    );
    let unknown = alone(&["man", "plug"]).await;
    assert!(unknown.code == 2 && unknown.stderr.contains("\"plug\""), "{unknown:?}");
}

#[tokio::test]
async fn v_and_q_say_how_much_is_said() {
    let database = Database::new().await;
    assert!(database.cli_ok(&["jobs"]).await.stderr.contains("No such jobs"));
    for quiet in [["-q", "jobs"], ["jobs", "--quiet"]] {
        assert_eq!(database.cli_ok(&quiet).await.stderr, "", "a status is not wanted");
    }
    let refused = database.run_cli(&["job", "4711", "-q"]).await;
    assert!(refused.code == 1 && refused.stderr.contains("4711"), "an error is said: {refused:?}");
    for verbose in [["-v", "jobs"], ["jobs", "-v"]] {
        let said = database.cli_ok(&verbose).await.stderr;
        assert!(said.contains("INFO connected to 127.0.0.1:"), "{said}");
    }
    assert!(!database.cli_ok(&["jobs"]).await.stderr.contains("connected to"));
    let both = database.run_cli(&["jobs", "-v", "-q"]).await;
    assert!(both.code == 2 && both.stderr.contains("--quiet"), "{both:?}");

    // Of a host: a level more, or less; the variable says from where, and RUST_LOG has the last word.
    let plugins = Plugins::with(&["hostile"]);
    let log = async |args: &[&str], variables: &[(&str, &str)]| {
        let mut command = tokio::process::Command::new(host_binary());
        command.args(["run", "--plugins"]).arg(plugins.path()).args(["--mode", "drain"]).args(args);
        command.env("PGDSN", database.dsn()).env("PGQ_HOST_CONFIG", plugins.config()).env_remove("RUST_LOG");
        command.envs(variables.iter().copied()).kill_on_drop(true);
        // A run begins at DEBUG.
        database.enqueue("echo", "x").await;
        let said = run_command(command).await;
        assert_eq!(said.code, 0, "{said:?}");
        said.stderr
    };
    let plain = log(&[], &[]).await;
    assert!(plain.contains(" INFO ") && !plain.contains(" DEBUG "), "{plain}");
    assert!(log(&["-v"], &[]).await.contains(" DEBUG "));
    assert!(!log(&["-q"], &[]).await.contains(" INFO "));
    assert!(log(&["-v"], &[("PGQ_HOST_LOG_LEVEL", "WARNING")]).await.contains(" INFO "));
    assert!(log(&["-qq"], &[("RUST_LOG", "pgq_host=info")]).await.contains(" INFO "));
}
