//! `pgq-plugin.toml`: a build by steps, with tools that stand in for the real ones. Module `languages`
//! has the real ones.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use pgq_host_tests::{CliOutput, Host, eventually, guest, host_binary, run_command};
use rustix::process::{Pid, Signal, test_kill_process};
use tempfile::TempDir;
use tokio::process::Command;

/// A plugin of two steps: `bundle` copies what is in `src`, and `componentize` adds a component.
struct Plugin(TempDir);

impl Plugin {
    fn new() -> Plugin {
        let plugin = Plugin(tempfile::tempdir().unwrap());
        plugin.tool("bundle", "echo \"bundling for $WHOM\"; cat src/* > build/bundle");
        plugin.tool("componentize", &format!("cp {} build/greet.wasm", guest("hello").display()));
        plugin.write("src/handler", "one");
        plugin.recipe("[\"bundle\"], [\"componentize\", \"-o\", \"build/greet.wasm\"]");
        plugin
    }

    fn recipe(&self, steps: &str) {
        let text = format!(
            "artifact = \"build/greet.wasm\"\nsteps = [{steps}]\npath = [\"tools\"]\ninstall = \"get the tools\"\nignore = [\"notes\"]\n[env]\nWHOM = \"Ada\"\n"
        );
        self.write("pgq-plugin.toml", &text);
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.0.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    fn tool(&self, name: &str, script: &str) {
        self.write(&format!("tools/{name}"), &format!("#!/bin/sh\nset -e\n{script}\n"));
        let path = self.0.path().join("tools").join(name);
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    async fn cli(&self, args: &[&str]) -> CliOutput {
        let mut command = Command::new(host_binary());
        command.args(args).current_dir(self.path()).kill_on_drop(true);
        run_command(command).await
    }
}

#[tokio::test]
async fn steps_run_in_order_and_what_they_print_is_shown_and_no_part_of_the_data() {
    let plugin = Plugin::new();
    let built = plugin.cli(&["plugin", "build", "--out", "plugins", "--json"]).await;
    assert_eq!(built.code, 0, "{built:?}");
    assert!(
        built.stderr.contains("bundling for Ada") && built.stderr.contains("Wrote plugins/greet.wasm"),
        "{built:?}"
    );
    assert_eq!(built.json()[0]["plugin"], "hello");
    assert_eq!(std::fs::read_to_string(plugin.path().join("build/bundle")).unwrap(), "one");

    let ran = plugin.cli(&["plugin", "run", ".", "--payload", r#"{"name": "Ada"}"#]).await;
    assert!(ran.code == 0 && ran.stdout == "Hello, Ada!" && ran.stderr.contains("bundling for Ada"), "{ran:?}");
}

#[tokio::test]
async fn a_build_that_fails_names_the_tool_and_how_to_get_it_and_leaves_no_component() {
    let plugin = Plugin::new();
    let build = async || {
        let said = plugin.cli(&["plugin", "build", "--out", "plugins"]).await;
        assert_eq!(said.code, 1, "{said:?}");
        assert!(!plugin.path().join("plugins").exists(), "nothing reaches the folder");
        said.stderr
    };
    plugin.recipe("[\"bundle\"], [\"no-such-tool\"]");
    let error = build().await;
    for words in ["no-such-tool cannot be started", "get the tools"] {
        assert!(error.contains(words), "{words} is missing: {error}");
    }
    plugin.recipe("[\"bundle\"], [\"componentize\"]");
    plugin.tool("componentize", "echo 'line 7: no such name' >&2; exit 3");
    let error = build().await;
    for words in ["line 7: no such name", "`componentize` could not build", "exit status: 3", "get the tools"] {
        assert!(error.contains(words), "{words} is missing: {error}");
    }
    // What an earlier build left is not taken for this one's.
    plugin.write("build/greet.wasm", "an old one");
    plugin.tool("componentize", "true");
    let error = build().await;
    assert!(error.contains("did not write build/greet.wasm"), "{error}");

    plugin.write("pgq-plugin.toml", "artefact = \"a.wasm\"");
    let error = build().await;
    assert!(error.contains("pgq-plugin.toml") && error.contains("artefact"), "{error}");
}

#[tokio::test]
async fn a_build_that_is_interrupted_takes_its_tools_with_it() {
    let plugin = Plugin::new();
    plugin.tool("bundle", "sleep 600 & echo $$ $! > pids.part; mv pids.part pids; wait");
    for signal in [Signal::INT, Signal::TERM] {
        let mut command = Command::new(host_binary());
        command.args(["plugin", "build"]).current_dir(plugin.path());
        let mut build = Host::launch(command);
        let pids = plugin.path().join("pids");
        eventually("the tool runs", async || pids.is_file()).await;
        let text = std::fs::read_to_string(&pids).unwrap();
        let processes: Vec<Pid> =
            text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect();
        assert_eq!(processes.len(), 2);
        build.signal(signal);
        assert_eq!(build.ended().await.code(), Some(1));
        assert!(build.log().contains("interrupted by SIG"), "{}", build.log());
        let gone = |pid: &Pid| {
            let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
            test_kill_process(*pid).is_err() || stat.contains(") Z ")
        };
        eventually("nothing is left", async || processes.iter().all(gone)).await;
        std::fs::remove_file(pids).unwrap();
    }
}

#[tokio::test]
async fn dev_builds_what_is_saved_and_not_what_its_tools_write() {
    let plugin = Plugin::new();
    // Counts its builds in a file that no watcher may take for a source.
    plugin.tool("bundle", "echo x >> build/count; echo x >> notes; cat src/* > build/bundle");
    let mut command = Command::new(host_binary());
    command.args(["dev", "--source", "."]).current_dir(plugin.path());
    let dev = Host::launch(command);
    dev.wait_for_log("ready").await;
    let text = |file: &str| std::fs::read_to_string(plugin.path().join(file)).unwrap_or_default();
    assert_eq!(text("build/bundle"), "one");

    plugin.write("src/handler", "two");
    eventually("the save is built", async || text("build/bundle") == "two").await;
    plugin.tool("componentize", "echo broken; exit 1");
    dev.wait_for_log("the previous version stays in service").await;
    plugin.tool("componentize", &format!("cp {} build/greet.wasm", guest("report").display()));
    // Another component in the same file: it is served once it is built. A tool may be replaced within a
    // build that has begun, so there can be one build less. On a slow machine each event has a build of its
    // own: one of the start, two of the save (truncated, written), three of each tool (its mode as well).
    dev.wait_for_log("plugin=report").await;
    let builds = text("build/count").lines().count();
    assert!((3..=9).contains(&builds), "{builds} builds: what the tools wrote was taken for a save");
    dev.stop().await;
}
