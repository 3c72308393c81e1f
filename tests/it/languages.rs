//! Handlers in Python, JavaScript, TypeScript, Go and C: what `plugin new` makes, the examples, and
//! what a job shows of each thing that goes wrong. One component per language has all of it.

use std::path::Path;

use pgq_host_tests::{
    C, Database, GO, Host, JS, Language, NewPlugin, PYTHON, Plugins, Receiver, TS, error_of, eventually,
    failures_are_documented, host_binary, run_command,
};
use serde_json::{Value, json};
use tokio::process::Command;

/// A handler that fails: what the host says of it, and what has to be in its traceback.
struct Fault {
    /// As the page of failures calls it; nothing for one that is not on it.
    what: &'static str,
    entrypoint: &'static str,
    kind: &'static str,
    message: &'static str,
    /// All of these.
    traceback: &'static [&'static str],
}

const INTERRUPTED: &str = "the run was interrupted after its 500ms";

fn plugin_folder(language: Language, file: &Path, receiver: &Receiver, role: &str) -> Plugins {
    let plugins = Plugins::with(&[]);
    plugins.replace(&format!("{}.wasm", language.name), std::fs::read(file).unwrap());
    let password = plugins.path().join("password");
    std::fs::write(&password, "pass word\n").unwrap();
    // Which of the two names it has is the language's order of files.
    let grants = |name: &str| {
        format!(
            "[plugins.{name}]\nhttp = [\"{}\"]\nenqueue = [\"{}-receipt\"]\nsql = {{ role = \"{role}\", password = {{ file = {password:?} }} }}\n",
            receiver.origin(),
            language.prefix
        )
    };
    let config = ["example", "greet"].map(|name| grants(&format!("{}-{name}", language.name))).concat();
    std::fs::write(plugins.config(), config).unwrap();
    plugins
}

/// An account, and a role that may use it. Returns the role's name.
async fn account(database: &Database) -> String {
    let name: String = sqlx::query_scalar("SELECT current_database()::text").fetch_one(database.pool()).await.unwrap();
    let role = format!("h_{name}");
    for sql in [
        format!("DROP ROLE IF EXISTS {role}"),
        format!("CREATE ROLE {role} LOGIN PASSWORD 'pass word'"),
        "CREATE TABLE account (id bigint PRIMARY KEY, balance bigint NOT NULL)".into(),
        "INSERT INTO account VALUES (1, 100)".into(),
        format!("GRANT SELECT, INSERT, UPDATE ON account TO {role}"),
    ] {
        database.execute(&sql).await;
    }
    let user: String = sqlx::query_scalar("SELECT session_user::text").fetch_one(database.pool()).await.unwrap();
    let names = pgq_queue::names::Names::new(&Default::default(), |_| None).unwrap();
    let grantee = |name: &str| pgq_queue::schema::Role::new(name).unwrap();
    let mut connection = database.connect().await;
    pgq_queue::schema::grant_handler(&mut connection, &names, &grantee(&user), &grantee(&role)).await.unwrap();
    role
}

/// Without its tools, a build names what installs them; with them, the plugin's own tests pass and
/// its component holds the examples and the faults.
async fn build(language: Language, tools: &Path) -> NewPlugin {
    let plugin = language.new_plugin(&format!("{}-greet", language.name));
    let mut command = Command::new(host_binary());
    command.args(["plugin", "build"]).current_dir(&plugin.folder).env("PATH", "/nowhere");
    let missing = run_command(command).await;
    assert!(
        missing.code == 1 && missing.stderr.contains("cannot be started") && missing.stderr.contains("install it with"),
        "{missing:?}"
    );
    plugin.install(tools);
    plugin.test(tools);
    plugin.add_handlers();
    // Those of the example as well.
    plugin.test(tools);
    plugin
}

async fn over(database: &Database, id: i64) {
    let left = format!("SELECT count(*) FROM pgqueuer WHERE id = {id} AND status <> 'failed'");
    eventually(&format!("job {id} is over"), async || database.count(&left).await == 0).await;
}

async fn output(database: &Database, entrypoint: String, payload: &str) -> String {
    let id = database.enqueue(&entrypoint, payload).await;
    over(database, id).await;
    match database.output(id).await {
        Some(output) => output,
        None => panic!("{entrypoint}: {}", database.traceback(id).await),
    }
}

/// Each fails as it should, and `job` shows what docs/languages/failures.md says.
async fn fail(database: &Database, language: &str, prefix: &str, faults: &[Fault]) {
    let mut seen = Vec::new();
    for fault in faults {
        let id = database.enqueue(&format!("{prefix}{}", fault.entrypoint), "x").await;
        database.wait_for(id, "failed").await;
        let traceback = database.traceback(id).await;
        let shown = database.cli_ok(&["job", &id.to_string()]).await.stdout;
        let text = traceback["traceback"].as_str().unwrap();
        assert_eq!(traceback["exception_type"], fault.kind, "{} {traceback}", fault.entrypoint);
        assert!(traceback["exception_message"].as_str().unwrap().contains(fault.message), "{traceback}");
        for part in fault.traceback {
            assert!(text.contains(part), "{part:?} is missing in the traceback of {}:\n{text}", fault.entrypoint);
        }
        assert!(shown.contains(&format!("{}: ", fault.kind)), "{shown}");
        if !fault.what.is_empty() {
            seen.push((fault.what.to_owned(), error_of(&shown)));
        }
    }
    failures_are_documented(language, &seen);
}

/// What is the same in every language.
async fn works(language: Language, more: &[(&str, &str, &str)], faults: &[Fault]) {
    let Some(tools) = language.tools() else { return };
    let plugin = build(language, &tools).await;
    let file = plugin.build();
    let database = Database::new().await;
    let receiver = Receiver::start(vec![503, 200, 201]).await;
    let role = account(&database).await;
    let plugins = plugin_folder(language, &file, &receiver, &role);
    let host = Host::start(&database, &plugins, &["--max-concurrent-tasks", "4"]).await;
    let named = |entrypoint: &str| format!("{}-{entrypoint}", language.prefix);

    // The examples.
    assert_eq!(output(&database, format!("{}-greet", language.name), r#"{"name": "Ada"}"#).await, "Hello, Ada!");
    let hook = json!({ "url": format!("{}/hook?a=1", receiver.origin()), "body": { "b": [1] } }).to_string();
    let delivered = output(&database, named("webhook"), &hook).await;
    assert_eq!(serde_json::from_str::<Value>(&delivered).unwrap(), json!({ "status": 200, "body": "ok" }));
    let requests = receiver.requests();
    assert_eq!(requests.len(), 2, "503 was tried again");
    let key = |request: &str| {
        request.lines().find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned)).expect(request)
    };
    assert_eq!(key(&requests[0]), key(&requests[1]));
    assert!(requests[1].starts_with("POST /hook?a=1 ") && requests[1].ends_with(r#"{"b":[1]}"#), "{}", requests[1]);
    let receipt = format!(
        "SELECT count(*) FROM pgqueuer_log WHERE entrypoint = '{}' AND status = 'successful'",
        named("receipt")
    );
    eventually("the follow-up ran", async || database.count(&receipt).await == 1).await;
    host.wait_for_log(" was delivered").await;
    let primes = output(&database, named("primes"), r#"{"below": 100000}"#).await;
    assert_eq!(serde_json::from_str::<Value>(&primes).unwrap(), json!({ "primes": 9592 }));

    let sql = output(&database, named("sql"), "").await;
    assert_eq!(serde_json::from_str::<Value>(&sql).unwrap(), json!({ "state": "23505", "sum": 720_600 }));
    assert_eq!(database.count("SELECT balance FROM account WHERE id = 1").await, 90);
    for (entrypoint, payload, wanted) in more {
        let payload = payload.replace("{origin}", &receiver.origin());
        assert_eq!(output(&database, named(entrypoint), &payload).await, *wanted, "{entrypoint}");
    }

    // What goes wrong.
    fail(&database, language.name, &named(""), faults).await;

    // Exceptions by the hundred neither pause the entrypoint nor cost its instance.
    let ids = database.enqueue_many(&named("again"), 1000, Vec::new()).await;
    let failed = format!("SELECT count(*) FROM pgqueuer WHERE entrypoint = '{}' AND status = 'failed'", named("again"));
    eventually("all of them failed", async || database.count(&failed).await == 1000).await;
    let mut most = 0;
    for id in ids.iter().rev().take(20) {
        let told = database.traceback(*id).await["exception_message"].as_str().unwrap().to_owned();
        most = most.max(told.rsplit(' ').next().unwrap().parse().unwrap());
    }
    assert!(most >= 100, "an instance failed {most} times at most: it was not kept");
    assert!(!host.log().contains("is not claimed for a while"), "{}", host.log());
    host.stop().await;
}

#[tokio::test]
async fn python_handlers_work_and_their_failures_are_told_in_pythons_words() {
    let faults = [
        Fault {
            what: "an exception",
            entrypoint: "throws",
            kind: "KeyError",
            message: "'name'",
            traceback: &["File \"faults.py\", line ", "in lookup\n", "return customer[\"name\"]\n", "KeyError: 'name'"],
        },
        Fault {
            what: "an endless loop",
            entrypoint: "loops",
            kind: "DeadlineExceeded",
            message: INTERRUPTED,
            traceback: &[],
        },
        Fault { what: "a sleep", entrypoint: "sleeps", kind: "DeadlineExceeded", message: INTERRUPTED, traceback: &[] },
        Fault {
            what: "more memory than there is",
            entrypoint: "hogs",
            kind: "MemoryError",
            message: "",
            traceback: &["held.append("],
        },
        Fault {
            what: "recursion without end",
            entrypoint: "deep",
            kind: "RecursionError",
            message: "maximum recursion",
            traceback: &["in deeper"],
        },
        Fault {
            what: "`sys.exit`",
            entrypoint: "exits",
            kind: "SystemExit",
            message: "enough",
            traceback: &["in exits"],
        },
    ];
    let more = [("urlopen", "{origin}/x", "201 ok"), ("batch", "a", "a of 1")];
    works(PYTHON, &more, &faults).await;
}

#[tokio::test]
async fn javascript_handlers_work_and_their_failures_name_the_lines_of_the_source() {
    let faults = [
        Fault {
            what: "an exception",
            entrypoint: "throws",
            kind: "TypeError",
            message: "order.customer is undefined",
            traceback: &["lookup@src/faults.js:"],
        },
        Fault {
            what: "",
            entrypoint: "rejects",
            kind: "TypeError",
            message: "order.customer is undefined",
            traceback: &["lookup@src/faults.js:"],
        },
        Fault {
            what: "an endless loop",
            entrypoint: "loops",
            kind: "DeadlineExceeded",
            message: INTERRUPTED,
            traceback: &[],
        },
        Fault { what: "a sleep", entrypoint: "sleeps", kind: "DeadlineExceeded", message: INTERRUPTED, traceback: &[] },
        Fault {
            what: "more memory than there is",
            entrypoint: "hogs",
            kind: "InternalError",
            message: "out of memory",
            traceback: &[],
        },
        Fault {
            what: "recursion without end",
            entrypoint: "deep",
            kind: "InternalError",
            message: "too much recursion",
            traceback: &["deeper@src/faults.js:"],
        },
    ];
    works(JS, &[("batch", "a", "a of 1")], &faults).await;
}

#[tokio::test]
async fn go_handlers_work_and_a_panic_is_a_failure_with_its_stack() {
    let faults = [
        Fault {
            what: "an error that is returned",
            entrypoint: "errs",
            kind: "errors.errorString",
            message: "there is no customer",
            traceback: &[],
        },
        Fault {
            what: "a panic",
            entrypoint: "panics",
            kind: "panic: runtime.boundsError",
            message: "index out of range [0] with length 0",
            traceback: &["main.lookup(", "faults.go:"],
        },
        Fault {
            what: "an endless loop",
            entrypoint: "loops",
            kind: "DeadlineExceeded",
            message: INTERRUPTED,
            traceback: &[],
        },
        Fault { what: "a sleep", entrypoint: "sleeps", kind: "DeadlineExceeded", message: INTERRUPTED, traceback: &[] },
        Fault {
            what: "more memory than there is",
            entrypoint: "hogs",
            kind: "OutOfMemory",
            message: "64 MiB of memory",
            traceback: &[],
        },
        Fault {
            what: "recursion without end",
            entrypoint: "deep",
            kind: "StackOverflow",
            message: "",
            traceback: &["deeper"],
        },
    ];
    works(GO, &[("http", "{origin}/x", "201 ok"), ("batch", "a", "a of 1")], &faults).await;
}

/// There are no exceptions, so what goes wrong is a trap: its instance is gone, and it counts as a crash.
#[tokio::test]
async fn c_handlers_work_and_their_traps_name_the_functions() {
    let faults = [
        Fault {
            what: "`abort`",
            entrypoint: "aborts",
            kind: "Trap",
            message: "there is no customer",
            traceback: &["lookup"],
        },
        Fault {
            what: "an endless loop",
            entrypoint: "loops",
            kind: "DeadlineExceeded",
            message: INTERRUPTED,
            traceback: &[],
        },
        Fault { what: "a sleep", entrypoint: "sleeps", kind: "DeadlineExceeded", message: INTERRUPTED, traceback: &[] },
        Fault {
            what: "more memory than there is",
            entrypoint: "hogs",
            kind: "OutOfMemory",
            message: "",
            traceback: &[],
        },
        Fault {
            what: "recursion without end",
            entrypoint: "deep",
            kind: "StackOverflow",
            message: "",
            traceback: &["deeper"],
        },
    ];
    works(C, &[("batch", "a", "a of 1")], &faults).await;
}

#[tokio::test]
async fn in_rust_a_panic_is_a_trap_that_names_the_functions() {
    let faults = [
        Fault { what: "an error that is returned", entrypoint: "fail", kind: "Retry", message: "x", traceback: &[] },
        Fault { what: "a panic", entrypoint: "panics", kind: "Trap", message: "on purpose", traceback: &["hostile"] },
        Fault {
            what: "an endless loop",
            entrypoint: "spin",
            kind: "DeadlineExceeded",
            message: INTERRUPTED,
            traceback: &[],
        },
        Fault {
            what: "a sleep",
            entrypoint: "sleep_for_ever",
            kind: "DeadlineExceeded",
            message: INTERRUPTED,
            traceback: &[],
        },
        Fault {
            what: "more memory than there is",
            entrypoint: "hog",
            kind: "OutOfMemory",
            message: "64 MiB",
            traceback: &[],
        },
        Fault {
            what: "recursion without end",
            entrypoint: "recurse",
            kind: "StackOverflow",
            message: "",
            traceback: &["hostile"],
        },
        Fault { what: "`std::process::exit`", entrypoint: "exits", kind: "Exit", message: "exit(1)", traceback: &[] },
    ];
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile"]));
    let host = Host::start(&database, &plugins, &[]).await;
    fail(&database, "rust", "", &faults).await;
    host.stop().await;
}

#[test]
fn the_javascript_sdk_has_tests_that_pass() {
    if JS.tools().is_none() {
        return;
    }
    let sdk = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("sdk/js");
    let said =
        std::process::Command::new("node").args(["--test", "test/sdk.test.js"]).current_dir(sdk).output().unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stdout));
}

/// What is fitted to the interface is the same for all bundles, and takes nearly all of a first build.
#[tokio::test]
async fn a_second_build_in_javascript_takes_the_engine_of_the_first() {
    let Some(tools) = JS.tools() else { return };
    let plugin = JS.new_plugin("js-again");
    plugin.install(&tools);
    let kept = plugin.folder.join("node_modules/.cache/pgq-plugin");
    let engines = || -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
        let about = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path().join("about.json");
        let all = std::fs::read_dir(&kept).unwrap().map(about);
        all.map(|file| (file.clone(), file.metadata().unwrap().modified().unwrap())).collect()
    };
    let build = async |greeting: &str| {
        let handlers = plugin.folder.join("src/handlers.js");
        let text = std::fs::read_to_string(&handlers).unwrap();
        let (before, rest) = text.split_once("return `").unwrap();
        let (_, after) = rest.split_once(", ${name}").unwrap();
        std::fs::write(&handlers, format!("{before}return `{greeting}, ${{name}}{after}")).unwrap();
        let mut said = String::new();
        for step in [
            &["pgq-plugin-build", "src/component.js", "build/component.js"],
            &["pgq-plugin-componentize", "build/component.js", "build/js_again.wasm"],
        ] {
            let mut command = Command::new(plugin.folder.join("node_modules/.bin").join(step[0]));
            command.args(&step[1..]).current_dir(&plugin.folder);
            let output = run_command(command).await;
            said += &output.stderr;
            if output.code != 0 {
                return Err(said);
            }
        }
        Ok(said)
    };
    assert_eq!(build("Hello").await.expect("built"), "");
    let first = engines();
    assert_eq!(first.len(), 1);
    // A bundle with more in its memory.
    let greeting = format!("Hi{}", "!".repeat(100_000));
    assert_eq!(build(&greeting).await.expect("built"), "");
    assert_eq!(engines(), first, "the engine was fitted again");
    // The same bundle is the same plugin.
    let component = plugin.folder.join("build/js_again.wasm");
    let before = std::fs::read(&component).unwrap();
    std::fs::remove_file(&component).unwrap();
    // It is in the handler's text already.
    assert_eq!(build(&greeting).await.expect("built"), "");
    assert!(std::fs::read(&component).unwrap() == before, "another component of the same bundle");
    let mut command = Command::new(host_binary());
    command
        .args(["plugin", "run", "build/js_again.wasm", "--payload-file", "payload.json"])
        .current_dir(&plugin.folder);
    let ran = run_command(command).await;
    assert_eq!(ran.stdout.trim_end(), format!("{greeting}, Ada!"), "{}", ran.stderr);

    // What the bundle does at its top level goes wrong as in a first build, and leaves the engine.
    let component = plugin.folder.join("src/component.js");
    let text = std::fs::read_to_string(&component).unwrap();
    std::fs::write(&component, format!("{text}\nthrow new Error(\"not today\");\n")).unwrap();
    let refused = build("Hello").await.expect_err("refused");
    assert!(refused.contains("not today"), "{refused}");
    assert_eq!(engines(), first);
    std::fs::write(&component, text).unwrap();

    // Another interface has another engine, and the old one is not kept.
    let world = plugin.folder.join("wit/world.wit");
    let text = std::fs::read_to_string(&world).unwrap();
    std::fs::write(&world, format!("// Changed.\n{text}")).unwrap();
    build("Hello").await.expect("built");
    assert!(engines().len() == 1 && engines() != first);
}

/// Its build is JavaScript's.
#[tokio::test]
async fn a_new_plugin_in_typescript_has_types_and_tests_that_pass() {
    let Some(tools) = TS.tools() else { return };
    let plugin = TS.new_plugin("ts-greet");
    plugin.install(&tools);
    let said = plugin.test(&tools);
    assert!(said.contains("pass 2"), "{said}");
    let handlers = plugin.folder.join("src/handlers.ts");
    let text = std::fs::read_to_string(&handlers).unwrap();
    // A misspelt name, and something of Node that no plugin has.
    let wrong = text.replace("attempt: job.attempt", "attempt: job.atempt") + "\nBuffer.from(\"x\");\n";
    std::fs::write(&handlers, wrong).unwrap();
    let checked = Command::new(plugin.folder.join("node_modules/.bin/tsc")).current_dir(&plugin.folder).output().await;
    let checked = String::from_utf8_lossy(&checked.unwrap().stdout).into_owned();
    assert!(checked.contains("atempt") && checked.contains("Buffer"), "{checked}");
    let text = "import { createHash } from \"node:crypto\";\nimport \"nowhere\";\nconsole.log(createHash);\n";
    std::fs::write(plugin.folder.join("src/odd.ts"), text).unwrap();
    let mut bundler = Command::new(plugin.folder.join("node_modules/.bin/pgq-plugin-build"));
    bundler.args(["src/odd.ts", "build/odd.js"]).current_dir(&plugin.folder);
    let refused = run_command(bundler).await;
    let wrong = ["node:crypto: it is a module of Node (imported by src/odd.ts)", "nowhere: it is not installed"];
    assert!(refused.code == 1 && wrong.iter().all(|why| refused.stderr.contains(why)), "{refused:?}");
    assert!(!plugin.folder.join("build/odd.js").exists());
}
