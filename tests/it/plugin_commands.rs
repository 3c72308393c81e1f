//! `pgq-host plugin …` and `dev --source`: from an empty folder to a running job, with the real
//! cargo.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use pgq_host_tests::{CliOutput, Database, Host, Plugins, eventually, guest, host_binary, run_command};
use rustix::process::{Pid, Signal, test_kill_process};
use serde_json::{Value, json};
use sqlx::PgPool;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::{Mutex, MutexGuard, OnceCell};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Where the guests were built: a plugin's dependencies are already compiled there, for at least
/// one profile.
fn target() -> PathBuf {
    guest("hello").ancestors().nth(3).unwrap().to_owned()
}

/// The binary, with the environment that cargo needs.
fn pgq_host(args: &[&str]) -> Command {
    let mut command = Command::new(host_binary());
    command
        .args(args)
        .env("CARGO_TARGET_DIR", target())
        .env_remove("PGQ_HOST_SDK")
        .env_remove("RUST_LOG")
        .kill_on_drop(true);
    command
}

async fn run_cli(args: &[&str]) -> CliOutput {
    run_command(pgq_host(args)).await
}

async fn cli_ok(args: &[&str]) -> CliOutput {
    let said = run_cli(args).await;
    assert_eq!(said.code, 0, "{args:?}: {said:?}");
    said
}

/// A crate from `plugin new`, in a folder that every test run reuses: cargo keeps one set of files
/// for it rather than one per run. Each test has its own crate name, since all share cargo's target
/// folder.
struct Crate(PathBuf);

impl Crate {
    async fn new(name: &str) -> Crate {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("plugin-commands").join(name);
        let _ = std::fs::remove_dir_all(&folder);
        let path = folder.to_str().unwrap();
        let made = cli_ok(&["plugin", "new", name, "--path", path, "--sdk", root().to_str().unwrap()]).await;
        assert_eq!(made.stdout.trim(), path);
        // The versions that are already downloaded, so that the test needs no network.
        std::fs::copy(root().join("plugins-example/Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        Crate(folder)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }

    fn edit(&self, from: &str, to: &str) {
        let file = self.0.join("src/lib.rs");
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from:?} is not in {text}");
        std::fs::write(file, text.replace(from, to)).unwrap();
    }

    async fn cargo(&self, args: &[&str]) -> String {
        let output = Command::new("cargo")
            .args(args)
            .current_dir(&self.0)
            .env("CARGO_TARGET_DIR", target())
            .output()
            .await
            .unwrap();
        let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "cargo {args:?}: {text}");
        text
    }
}

/// Builds the dependencies of a debug build once, and reserves cargo as long as the guard lives, so
/// that a test only waits for its own plugin. Cargo builds one thing at a time in a folder, and a
/// release build beside it takes minutes.
async fn cargo_to_itself() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    static WARM: OnceCell<()> = OnceCell::const_new();
    let turn = TURN.lock().await;
    let build =
        async || drop(Crate::new("warm-up").await.cargo(&["build", "--quiet", "--target", "wasm32-wasip2"]).await);
    WARM.get_or_init(build).await;
    turn
}

/// A folder with programs that replace cargo and rustc.
fn stand_ins(programs: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, script) in programs {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    folder
}

#[tokio::test]
async fn from_nothing_to_the_output_of_a_handler() {
    let _turn = cargo_to_itself().await;
    let made = Crate::new("first-steps").await;
    let manifest = std::fs::read_to_string(made.0.join("Cargo.toml")).unwrap();
    assert!(manifest.contains(root().join("plugin-sdk").to_str().unwrap()), "{manifest}");
    let tested = made.cargo(&["test"]).await;
    assert!(tested.contains("2 passed"), "{tested}");
    // With rustfmt's defaults rather than this repository's settings.
    made.cargo(&["fmt", "--check", "--", "--config", "max_width=100,use_small_heuristics=Default"]).await;

    let plugins = tempfile::tempdir().unwrap();
    let built = cli_ok(&["plugin", "build", made.path(), "--out", plugins.path().to_str().unwrap(), "--json"]).await;
    let component = plugins.path().join("first_steps.wasm");
    let file = component.to_str().unwrap();
    assert!(built.stderr.contains(&format!("Wrote {file}")), "{built:?}");
    let reports = built.json();
    assert_eq!(component.metadata().unwrap().permissions().mode() & 0o444, 0o444, "hosts of other users can read it");

    let inspected = cli_ok(&["plugin", "inspect", file, "--json"]).await.json();
    assert_eq!((&inspected[0]["plugin"], &inspected[0]["version"]), (&json!("first-steps"), &json!("0.1.0")));
    assert_eq!((&inspected[0]["sha256"], &inspected[0]["loads"]), (&reports[0]["sha256"], &json!(true)));
    let entrypoint = &inspected[0]["entrypoints"][0];
    assert_eq!((&entrypoint["name"], &entrypoint["max_attempts"]), (&json!("first-steps"), &json!(5)));
    assert_eq!(entrypoint["timeout_ms"], 10_000);
    assert_eq!(
        entrypoint["defaults"],
        json!(["backoff", "memory_bytes", "concurrency", "reuse", "batch", "on_failure", "history"])
    );

    let payload = made.0.join("payload.json");
    let ran = cli_ok(&["plugin", "run", file, "--payload-file", payload.to_str().unwrap(), "--attempt", "3"]).await;
    assert_eq!(ran.stdout, "Hello, Ada!");
    assert!(
        ran.stderr.contains("greeting Ada") && ran.stderr.contains("attempt=3") && ran.stderr.contains("complete ("),
        "{ran:?}"
    );

    let again = cli_ok(&["plugin", "build", made.path(), "--out", plugins.path().to_str().unwrap()]).await;
    assert!(again.stderr.contains(&format!("Unchanged: {file}")), "{again:?}");
    assert!(
        again.stdout.contains("max-attempts 5\n") && again.stdout.contains("memory       256 MiB (default)\n"),
        "{again:?}"
    );
}

#[tokio::test]
async fn a_new_plugin_takes_the_sdk_of_the_checkout_it_is_in_and_never_overwrites() {
    let checkout = tempfile::tempdir().unwrap();
    std::fs::create_dir(checkout.path().join("plugin-sdk")).unwrap();
    std::fs::write(checkout.path().join("plugin-sdk/Cargo.toml"), "[package]\nname = \"pgq-plugin-sdk\"\n").unwrap();
    let new = async |args: &[&str]| {
        let mut command = pgq_host(&["plugin", "new"]);
        command.args(args).current_dir(checkout.path());
        run_command(command).await
    };
    let made = new(&["send-mail"]).await;
    assert!(made.code == 0 && made.stderr.contains("../plugin-sdk"), "{made:?}");
    let manifest = std::fs::read_to_string(checkout.path().join("send-mail/Cargo.toml")).unwrap();
    assert!(manifest.contains(r#"pgq-plugin-sdk = { path = "../plugin-sdk" }"#), "{manifest}");

    std::fs::write(checkout.path().join("send-mail/mine"), "kept").unwrap();
    let again = new(&["send-mail"]).await;
    assert!(
        again.code == 1 && again.stderr.contains("send-mail already exists") && again.stderr.contains("--path"),
        "{again:?}"
    );
    assert_eq!(std::fs::read_to_string(checkout.path().join("send-mail/mine")).unwrap(), "kept");

    let elsewhere = new(&["other", "--sdk", "/nowhere"]).await;
    assert!(
        elsewhere.code == 1 && elsewhere.stderr.contains("/nowhere") && elsewhere.stderr.contains("plugin-sdk"),
        "{elsewhere:?}"
    );
    for bad in ["Send", "2x", "../x", "test"] {
        let refused = new(&[bad]).await;
        assert!(refused.code == 2 && refused.stderr.contains(bad), "{refused:?}");
    }
    let left: Vec<_> = std::fs::read_dir(checkout.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 2, "{left:?}");
}

#[tokio::test]
async fn outside_of_a_checkout_a_new_plugin_builds_with_the_sdk_that_is_in_the_binary() {
    let _turn = cargo_to_itself().await;
    // Not below this workspace, whose SDK would be found.
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("deep/er");
    let mut command = pgq_host(&["plugin", "new", "far-away", "--path", path.to_str().unwrap(), "--json"]);
    command.current_dir(outside.path());
    let made = run_command(command).await;
    assert!(
        made.code == 0 && made.stderr.contains("--sdk DIR") && made.stderr.contains("vendor/pgq-plugin-sdk"),
        "{made:?}"
    );
    assert_eq!(
        made.json(),
        json!({ "plugin": "far-away", "lang": "rust", "path": path.to_str().unwrap(), "sdk": "vendor/pgq-plugin-sdk" })
    );
    assert!(
        std::fs::read_to_string(path.join("Cargo.toml")).unwrap().contains(r#"{ path = "vendor/pgq-plugin-sdk" }"#)
    );
    // The versions that are already downloaded, so that the test needs no network. A user's cargo
    // finds them in the registry.
    std::fs::copy(root().join("plugins-example/Cargo.lock"), path.join("Cargo.lock")).unwrap();
    let plugins = outside.path().join("plugins");
    let build = ["plugin", "build", path.to_str().unwrap(), "--debug", "--out", plugins.to_str().unwrap()];
    let built = cli_ok(&build).await;
    assert!(!built.stderr.contains("warning"), "{built:?}");
    let component = plugins.join("far_away.wasm");
    let ran = cli_ok(&["plugin", "run", component.to_str().unwrap(), "--payload", r#"{"name": "Ada"}"#]).await;
    assert_eq!(ran.stdout, "Hello, Ada!");
}

#[tokio::test]
async fn a_first_build_of_dev_shows_how_far_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("greet");
    std::fs::create_dir(&source).unwrap();
    std::fs::write(source.join("Cargo.toml"), "").unwrap();
    // Runs until it is stopped. With `--quiet`, it would print nothing.
    let cargo = "case \"$*\" in *--quiet*) ;; *) echo '   Compiling serde v1' >&2 ;; esac; exec /bin/sleep 600";
    let programs = stand_ins(&[("cargo", cargo)]);
    let mut command = pgq_host(&["dev", "--source", source.to_str().unwrap()]);
    command.current_dir(folder.path()).env("PATH", programs.path());
    let mut dev = Host::launch(command);
    for line in ["building; the first build compiles the dependencies as well", "Compiling serde", "still building"] {
        dev.wait_for_log(line).await;
    }
    dev.signal(Signal::TERM);
    assert!(dev.ended().await.success(), "{}", dev.log());
}

#[tokio::test]
async fn run_ends_with_the_code_of_its_outcome() {
    let hostile = guest("hostile");
    let file = hostile.to_str().unwrap();
    let run = async |args: &[&str]| run_cli(&[&["plugin", "run", file][..], args].concat()).await;

    let echo = run(&["--entrypoint", "echo", "--payload", "a\tb"]).await;
    assert_eq!((echo.code, &*echo.stdout), (0, "a\tb"));
    for (args, code, outcome, words) in [
        (&["snooze"][..], 0, "snooze", "would run again in"),
        (&["discard"], 0, "discard", "discarded: "),
        (&["fail", "--payload", "no luck"], 1, "retry", "Retry: no luck; attempt 2 of 2 would follow in 10ms to 20ms"),
        (
            &["fail", "--payload", "no luck", "--attempt", "2"],
            1,
            "retry",
            "the last attempt of 2: the job would be held",
        ),
        (&["fail_deleted", "--payload", "x", "--attempt", "2"], 1, "retry", "would be deleted"),
        (&["reject", "--payload", "never"], 1, "reject", "Reject: never; the job would be held"),
        (&["panics"], 1, "retry", "Trap"),
    ] {
        let said = run(&[&["--entrypoint"], args, &["--json"]].concat()).await;
        assert_eq!((said.code, said.json()["outcome"].as_str().unwrap()), (code, outcome), "{said:?}");
        assert!(said.json()["said"].as_str().unwrap().contains(words), "{words:?} is missing in {said:?}");
        let plain = run(&[&["--entrypoint"], args].concat()).await;
        assert!(plain.code == code && plain.stdout.is_empty() && plain.stderr.contains(words), "{plain:?}");
    }
    let refused = run(&["--entrypoint", "follow_up", "--payload", "complete"]).await;
    assert!(
        refused.code == 1 && refused.stderr.contains("enqueue"),
        "what is not granted to a plugin is not granted here: {refused:?}"
    );
    let plugins = Plugins::with(&[]);
    let config = plugins.config();
    let run = async |args: &[&str]| run(&[args, &["--config", config.to_str().unwrap()]].concat()).await;
    let both = run(&["--entrypoint", "follow_up", "--payload", "complete", "--json"]).await.json();
    assert_eq!(both["output"], "both");
    assert!(both["follow_ups"][0]["entrypoint"].is_string(), "{both}");
    let neither = run(&["--entrypoint", "follow_up", "--payload", "retry", "--json"]).await.json();
    assert_eq!((&neither["output"], &neither["follow_ups"]), (&Value::Null, &json!([])));

    let several = run(&[]).await;
    assert!(
        several.code == 2 && several.stderr.contains("--entrypoint") && several.stderr.contains("\"echo\""),
        "{several:?}"
    );
    let none = run(&["--entrypoint", "ekko"]).await;
    assert!(none.code == 2 && none.stderr.contains("\"ekko\"") && none.stderr.contains("\"echo\""), "{none:?}");
    assert_eq!(run(&["--attempt", "0"]).await.code, 2, "usage");
}

#[tokio::test]
async fn run_has_the_limits_and_grants_of_the_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("pgq-host.toml");
    std::fs::write(&config, "[limits]\ntimeout = \"200ms\"\n").unwrap();
    let (hostile, webhook) = (guest("hostile"), guest("webhook"));
    let looping = [
        "plugin",
        "run",
        hostile.to_str().unwrap(),
        "--entrypoint",
        "spin",
        "--json",
        "--config",
        config.to_str().unwrap(),
    ];
    let looping = run_cli(&looping).await;
    assert_eq!(
        (looping.code, &looping.json()["fault"]["exception_type"]),
        (1, &json!("DeadlineExceeded")),
        "{looping:?}"
    );
    assert!(looping.json()["elapsed_ms"].as_f64().unwrap() >= 200.0);

    std::fs::write(&config, "").unwrap();
    let receiver = pgq_host_tests::Receiver::start(vec![200]).await;
    let payload = json!({"url": receiver.origin(), "body": 1}).to_string();
    let call =
        ["plugin", "run", webhook.to_str().unwrap(), "--payload", &payload, "--config", config.to_str().unwrap()];
    let refused = run_cli(&call).await;
    assert!(refused.code == 1 && refused.stderr.contains("pgq-host.toml"), "{refused:?}");
    assert_eq!(receiver.requests().len(), 0);
    std::fs::write(&config, format!("[plugins.webhook]\nhttp = [\"{}\"]\n", receiver.origin())).unwrap();
    cli_ok(&call).await;
    assert_eq!(receiver.requests().len(), 1);
}

#[tokio::test]
async fn inspect_says_of_every_file_whether_it_loads() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let half = std::fs::read(guest("hostile")).unwrap();
    let files = [
        write("core.wasm", &wat::parse_str("(module)").unwrap()),
        write("half.wasm", &half[..half.len() / 2]),
        guest("hello").to_str().unwrap().to_owned(),
    ];
    let args: Vec<&str> = files.iter().map(String::as_str).collect();
    let inspected = run_cli(&[&["plugin", "inspect", "--json", "/nowhere/x.wasm"], &args[..]].concat()).await;
    assert_eq!(inspected.code, 1);
    assert!(inspected.stderr.contains("/nowhere/x.wasm"), "{inspected:?}");
    let reports = inspected.json();
    let loads: Vec<&Value> = reports.as_array().unwrap().iter().map(|report| &report["loads"]).collect();
    assert_eq!(loads, [false, false, true]);
    for (report, cause) in reports.as_array().unwrap().iter().zip(["core module", "truncated"]) {
        assert!(report["error"].as_str().unwrap().contains(cause), "{report}");
    }
    let hello = &reports[2];
    assert!(hello["imports"].as_array().unwrap().contains(&json!("pgq:plugin/jobs@0.1.0")), "{hello}");
    assert_eq!(
        hello["exports"],
        json!(["pgq:plugin/batch-handler@0.1.0", "pgq:plugin/describe@0.1.0", "pgq:plugin/handler@0.1.0"])
    );

    let text = run_cli(&[&["plugin", "inspect"], &args[..]].concat()).await;
    assert!(text.code == 1 && text.stderr.contains("refuse 2 of 3 files"), "{text:?}");
    assert!(text.stdout.contains("refused     this is a core module"), "{text:?}");
}

#[tokio::test]
async fn code_that_inspect_compiled_is_what_a_host_starts_with() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("code");
    let file = plugins.path().join("hello.wasm");
    let compile =
        ["plugin", "inspect", file.to_str().unwrap(), "--compile", "--json", "--cache-dir", folder.to_str().unwrap()];
    let compiled = cli_ok(&compile).await.json()[0]["compiled"].as_str().unwrap().to_owned();
    let (before, inode) = (std::fs::read(&compiled).unwrap(), inode(Path::new(&compiled)));
    let host =
        Host::start(&database, &plugins, &["--cache-dir", folder.to_str().unwrap(), "--max-concurrent-tasks", "7"])
            .await;
    host.stop().await;
    let compilations =
        std::fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(compilations, 1, "the host found it");
    assert_eq!(
        (std::fs::read(&compiled).unwrap(), self::inode(Path::new(&compiled))),
        (before, inode),
        "and did not write it again"
    );

    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let unsafe_folder = run_cli(&compile).await;
    assert!(unsafe_folder.code == 1 && unsafe_folder.stderr.contains("chmod 700"), "{unsafe_folder:?}");
}

#[tokio::test]
async fn inspect_has_time_to_compile_and_takes_what_is_compiled_from_the_cache() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    std::fs::write(plugins.config(), "[limits]\ncompile-timeout = \"1ms\"\n").unwrap();
    let (cache, file) = (tempfile::tempdir().unwrap(), plugins.path().join("hello.wasm"));
    let folder = cache.path().join("code");
    let in_folder = ["--cache-dir", folder.to_str().unwrap()];
    let host = Host::spawn(&database, &plugins, &in_folder);
    host.wait_for_log("compiling took more than 1ms of processor time").await;
    assert!(host.log().contains("raise compile-timeout under [limits]"), "{}", host.log());
    host.wait_for_log("ready").await;
    host.stop().await;
    let config = plugins.config();
    let shared = ["--json", "--config", config.to_str().unwrap(), in_folder[0], in_folder[1]];
    let inspect = [&["plugin", "inspect", file.to_str().unwrap()], &shared[..]].concat();
    let compiled =
        cli_ok(&[&inspect[..], &["--compile"]].concat()).await.json()[0]["compiled"].as_str().unwrap().to_owned();
    // Whoever takes a file from the cache touches it, and nothing else is written.
    let used = || std::fs::metadata(&compiled).unwrap().modified().unwrap();
    let before = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
    std::fs::File::options().append(true).open(&compiled).unwrap().set_modified(before).unwrap();
    cli_ok(&inspect).await;
    assert!(used() > before + std::time::Duration::from_secs(60));
    assert_eq!(std::fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count(), 1);
    let host = Host::start(&database, &plugins, &in_folder).await;
    let id = database.enqueue("hello", r#"{"name": "Ada"}"#).await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn the_engine_is_not_set_by_the_environment() {
    let (cache, hostile) = (tempfile::tempdir().unwrap(), guest("hostile"));
    let folder = cache.path().join("code");
    let run = ["plugin", "run", hostile.to_str().unwrap(), "--entrypoint", "panics", "--json"];
    for details in ["0", "1"] {
        let mut command = pgq_host(&run);
        command.args(["--cache-dir", folder.to_str().unwrap()]).env("WASMTIME_BACKTRACE_DETAILS", details);
        let ran = run_command(command).await;
        let fault = &ran.json()["fault"];
        assert_eq!(fault["exception_type"], "Trap", "{ran:?}");
        assert!(!fault["traceback"].as_str().unwrap().contains("WASMTIME_"), "{fault}");
    }
    let compiled = std::fs::read_dir(&folder).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_file()).count();
    assert_eq!(compiled, 1, "the same code for both");
}

fn inode(path: &Path) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(path).unwrap())
}

#[tokio::test]
async fn list_shows_the_folder_as_a_host_would_serve_it() {
    let plugins = Plugins::with(&["hello", "hostile", "taken"]);
    plugins.write("broken.wasm", b"remember the milk");
    plugins.write("notes.txt", b"not looked at");
    let list = ["plugin", "list", "--plugins", plugins.path().to_str().unwrap()];
    let rows = cli_ok(&[&list[..], &["--json"]].concat()).await.json();
    let states: Vec<(&str, &str)> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| (row["file"].as_str().unwrap(), row["state"].as_str().unwrap()))
        .collect();
    assert_eq!(
        states,
        [("broken.wasm", "refused"), ("hello.wasm", "served"), ("hostile.wasm", "served"), ("taken.wasm", "refused")]
    );
    assert!(rows[0]["cause"].as_str().unwrap().contains("not WebAssembly"), "{rows}");
    assert!(rows[3]["cause"].as_str().unwrap().contains("\"echo\""), "{rows}");
    assert_eq!(rows[1]["entrypoints"], json!(["hello"]));
    let table = cli_ok(&list).await.stdout;
    let digest = &rows[1]["sha256"].as_str().unwrap()[..12];
    assert!(
        table.lines().any(|line| line.contains("hello.wasm") && line.contains(digest) && line.contains("served")),
        "{table}"
    );

    let nowhere = run_cli(&["plugin", "list", "--plugins", "/nowhere/plugins"]).await;
    assert!(nowhere.code == 1 && nowhere.stderr.contains("/nowhere/plugins"), "{nowhere:?}");
}

#[tokio::test]
async fn a_build_that_fails_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let no_crate = run_cli(&["plugin", "build", empty.path().to_str().unwrap()]).await;
    assert!(no_crate.code == 1 && no_crate.stderr.contains("plugin new"), "{no_crate:?}");

    std::fs::write(empty.path().join("Cargo.toml"), "").unwrap();
    let build = async |programs: &[(&str, &str)]| {
        let programs = stand_ins(programs);
        let mut command = pgq_host(&["plugin", "build"]);
        command.arg(empty.path()).env("PATH", programs.path());
        let said = run_command(command).await;
        assert_eq!(said.code, 1, "{said:?}");
        said.stderr
    };
    let error = build(&[]).await;
    assert!(error.contains("cargo cannot be started") && error.contains("https://rustup.rs"), "{error}");
    let error = build(&[("cargo", "exit 101")]).await;
    assert!(error.contains("rustc does not work"), "{error}");
    let error =
        build(&[("cargo", "exit 101"), ("rustc", "echo \"error: toolchain 'x' is not installed\" >&2; exit 1")]).await;
    assert!(error.contains("toolchain 'x' is not installed") && error.contains("rustup"), "{error}");
    let error = build(&[
        ("cargo", "echo \"error[E0463]: can't find crate for core\" >&2; exit 101"),
        ("rustc", "echo /nowhere/lib"),
    ])
    .await;
    assert!(error.contains("rustup target add wasm32-wasip2") && error.contains("E0463"), "{error}");
    let error = build(&[("cargo", "exit 101"), ("rustc", "echo /")]).await;
    assert!(error.contains("could not build") && error.contains("messages are above"), "{error}");
    let error = build(&[("cargo", "exit 0")]).await;
    assert!(error.contains("crate-type = [\"cdylib\"]"), "{error}");
}

#[tokio::test]
async fn a_build_that_is_interrupted_takes_cargo_and_its_compilers_with_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("Cargo.toml"), "").unwrap();
    // A compiler that never ends, and has children of its own.
    let cargo = "/bin/sleep 600 & echo $$ $! > pids.part; /bin/mv pids.part pids; wait";
    for signal in [Signal::INT, Signal::TERM] {
        let programs = stand_ins(&[("cargo", cargo)]);
        let mut command = pgq_host(&["plugin", "build"]);
        command.arg(folder.path()).env("PATH", programs.path());
        let mut build = Host::launch(command);
        let pids = folder.path().join("pids");
        eventually("the compiler runs", async || pids.is_file()).await;
        let text = std::fs::read_to_string(&pids).unwrap();
        let processes: Vec<Pid> =
            text.split_whitespace().map(|pid| Pid::from_raw(pid.parse().unwrap()).unwrap()).collect();
        assert_eq!(processes.len(), 2);
        build.signal(signal);
        assert_eq!(build.ended().await.code(), Some(1));
        assert!(build.log().contains("interrupted by SIG"), "{}", build.log());
        eventually("nothing is left", async || processes.iter().all(|pid| gone(*pid))).await;
        std::fs::remove_file(pids).unwrap();
    }
}

/// Whether it has ended, or is dead but not yet reaped by the process that inherited it.
fn gone(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())).unwrap_or_default();
    test_kill_process(pid).is_err() || stat.contains(") Z ")
}

/// `dev` on this crate, with its own folder.
struct Dev {
    host: Host,
    folder: TempDir,
}

impl Dev {
    async fn start(source: &Crate) -> Dev {
        let folder = tempfile::tempdir().unwrap();
        let mut command = pgq_host(&["dev", "--source", source.path()]);
        command.current_dir(folder.path());
        let host = Host::launch(command);
        host.wait_for_log("ready").await;
        Dev { host, folder }
    }

    fn component(&self, file: &str) -> PathBuf {
        self.folder.path().join("plugins").join(file)
    }

    async fn pool(&self) -> PgPool {
        let dsn = std::fs::read_to_string(self.folder.path().join(".pgq-host/dsn")).unwrap();
        PgPool::connect(dsn.trim()).await.unwrap()
    }

    /// Enqueue a job, and return its output.
    async fn output(&self, pool: &PgPool, entrypoint: &str) -> String {
        let insert = "INSERT INTO pgqueuer (priority, entrypoint, payload, status) VALUES (0, $1, '{\"name\": \"Ada\"}', 'queued') RETURNING id::bigint";
        let id: i64 = sqlx::query_scalar(insert).bind(entrypoint).fetch_one(pool).await.unwrap();
        let mut output = None;
        eventually("the job's output is there", async || {
            let select = "SELECT convert_from(output, 'UTF8') FROM pgqueuer_output WHERE job_id = $1";
            output = sqlx::query_scalar(select).bind(id).fetch_optional(pool).await.unwrap();
            output.is_some()
        })
        .await;
        output.unwrap()
    }
}

#[tokio::test]
async fn dev_builds_what_is_saved_and_keeps_what_works_when_it_does_not_build() {
    let _turn = cargo_to_itself().await;
    let source = Crate::new("saved-often").await;
    let dev = Dev::start(&source).await;
    let component = dev.component("saved_often.wasm");
    let served = std::fs::read(&component).unwrap();
    assert!(dev.host.log().contains("rebuilt saved_often in"), "{}", dev.host.log());
    let pool = dev.pool().await;
    assert_eq!(dev.output(&pool, "saved-often").await, "Hello, Ada!");

    source.edit("fn greet(", "fn gret(");
    dev.host.wait_for_log("the previous version stays in service").await;
    assert!(dev.host.log().contains("E0425"), "the compiler's words are shown: {}", dev.host.log());
    assert_eq!(std::fs::read(&component).unwrap(), served);

    source.edit("fn gret(", "fn greet(");
    source.edit("Hello, {}!", "Good evening, {}!");
    eventually("the new component is there", async || std::fs::read(&component).unwrap() != served).await;
    let landed = tempfile::tempdir().unwrap();
    let copy = landed.path().join("saved_often.wasm");
    std::fs::copy(&component, &copy).unwrap();
    let ran = cli_ok(&["plugin", "run", copy.to_str().unwrap(), "--payload", r#"{"name": "Ada"}"#]).await;
    assert_eq!(ran.stdout, "Good evening, Ada!");

    // A folder created later counts, and so does what is saved in it after that.
    std::fs::create_dir(source.0.join("words")).unwrap();
    std::fs::write(source.0.join("words/greeting.txt"), "Servus").unwrap();
    source.edit(
        r#""Good evening, {}!", greeting.name"#,
        r#""{}, {}!", include_str!("../words/greeting.txt"), greeting.name"#,
    );
    let contains =
        |word: &str| std::fs::read(&component).unwrap().windows(word.len()).any(|bytes| bytes == word.as_bytes());
    eventually("the file is in the component", async || contains("Servus")).await;
    std::fs::write(source.0.join("words/greeting.txt"), "Moin moin").unwrap();
    eventually("the file's new text is in the component", async || contains("Moin moin")).await;
    dev.host.stop().await;
}

#[tokio::test]
async fn a_job_runs_on_the_code_that_was_saved_last() {
    let _turn = cargo_to_itself().await;
    let source = Crate::new("saved-and-run").await;
    let dev = Dev::start(&source).await;
    let pool = dev.pool().await;
    assert_eq!(dev.output(&pool, "saved-and-run").await, "Hello, Ada!");
    source.edit("Hello, {}!", "Good evening, {}!");
    eventually("a job runs on the new code", async || dev.output(&pool, "saved-and-run").await == "Good evening, Ada!")
        .await;
    dev.host.stop().await;
}
