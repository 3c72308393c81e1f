//! Sealed payloads: opened for the run only, by hosts that have the key. What cannot be opened costs
//! nobody but itself, and is never lost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use pgq_host_tests::{
    Database, Host, McpSession, Plugins, SealingKeys, eventually, host_binary, node, pgq_host, python, run_command,
};
use pgq_job::NewJob;
use pgq_queue::OnConflict;
use pgq_sealing::{Purpose, sealed_by};
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;

use crate::web::Web;

/// What must never be seen where it does not belong.
const SECRET: &str = "4111-1111-marker";

/// A folder whose host has these keys, and this in its configuration as well.
fn configured(file: &Path, sealing: &str, rest: &str) -> Plugins {
    let plugins = Plugins::with(&["hostile", "reuse"]);
    let keys = file.display();
    plugins.write("pgq-host.toml", format!("[sealing]\nkeys-file = \"{keys}\"\n{sealing}\n{rest}"));
    plugins
}

/// `[plugins.hostile]` of the tests, with this as well.
fn hostile(rest: &str) -> String {
    format!("[plugins.hostile]\nenqueue = [\"*\"]\n{rest}\n")
}

async fn stored_output(database: &Database, id: i64) -> Vec<u8> {
    database.wait_for(id, "successful").await;
    kept_output(database, id).await
}

/// Of a job that the log does not know.
async fn kept_output(database: &Database, id: i64) -> Vec<u8> {
    sqlx::query_scalar("SELECT output FROM pgqueuer_output WHERE job_id = $1")
        .bind(id)
        .fetch_one(database.pool())
        .await
        .expect("an output")
}

/// The text of the failure with which a job is held.
async fn held(database: &Database, id: i64) -> String {
    database.wait_for(id, "failed").await;
    let traceback = database.traceback(id).await;
    assert_eq!(traceback["exception_type"], "Unopened", "{traceback}");
    traceback["exception_message"].as_str().expect("text").to_owned()
}

async fn attempts(database: &Database, id: i64) -> i64 {
    database.count(&format!("SELECT attempts::bigint FROM pgqueuer WHERE id = {id}")).await
}

/// Rows of all tables in which this text is, as text or as bytes.
async fn rows_with(database: &Database, text: &str) -> i64 {
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let mut found = 0;
    for table in ["pgqueuer", "pgqueuer_log", "pgqueuer_output", "pgqueuer_attempt", "pgqueuer_lines", "pgqueuer_audit"]
    {
        found += database
            .count(&format!(
                "SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%{text}%' OR t::text LIKE '%{hex}%'"
            ))
            .await;
    }
    found
}

fn page() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/sealing.md")).expect("the page")
}

/// The block of docs/sealing.md that begins with this.
fn snippet(language: &str, first: &str) -> String {
    let (page, fence) = (page(), format!("```{language}\n"));
    let block = page.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default());
    block.map(str::to_owned).find(|block| block.starts_with(first)).unwrap_or_else(|| panic!("no block {first:?}"))
}

async fn output_of(mut command: Command) -> String {
    let output = command.kill_on_drop(true).output().await.expect("it starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim().to_owned()
}

/// The output of a command that is given this.
async fn piped(mut command: Command, input: &[u8]) -> std::process::Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().expect("it starts");
    child.stdin.take().expect("piped").write_all(input).await.expect("written");
    child.wait_with_output().await.expect("it ends")
}

/// The block of the page in Python, as a program that does this at its end.
fn in_python(keys: &SealingKeys, database: &Database, first: &str, main: &str) -> Command {
    let mut command = Command::new(python());
    command.arg("-c").arg(format!("{}\n\n{main}", snippet("python", first)));
    command.env("PGDSN", database.dsn()).env("SEALING_KEYS", keys.file());
    command
}

#[test]
fn the_configuration_of_the_page_is_valid() {
    let config = pgq_host::config::Config::parse(&snippet("toml", "[sealing]")).expect("valid");
    assert!(config.sealing.source.is_some() && config.seals.of("pay", "charge").requires);
    assert!(!config.seals.of("pay", "ping").requires);
}

#[tokio::test]
async fn what_python_seals_as_the_page_shows_is_opened_for_the_run_and_nothing_is_left_in_clear() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["2026-11"]));
    for claim in ["locked", "marked"] {
        let plugins = configured(&keys.file(), "", &hostile(&format!("claim = \"{claim}\"\nlogs = \"all\"")));
        let host = Host::start(&database, &plugins, &["--log-level", "DEBUG"]).await;
        let main = format!("print(asyncio.run(main(\"echo\", b\"{SECRET}\")))");
        let id: i64 = output_of(in_python(&keys, &database, "import asyncio", &main)).await.parse().expect("an id");
        let output = stored_output(&database, id).await;
        assert_eq!(keys.open(&output, Purpose::Output(id), "echo"), SECRET.as_bytes());

        // What it enqueues is sealed as well: its outputs are, because its payload was.
        let parent = database.enqueue("follow_up", keys.seal("2026-11", "follow_up", b"complete")).await;
        stored_output(&database, parent).await;
        database.wait_until_done().await;
        let children: Vec<i64> = sqlx::query_scalar(
            "SELECT DISTINCT job_id FROM pgqueuer_log WHERE entrypoint = 'echo' AND job_id > $1 ORDER BY 1",
        )
        .bind(parent)
        .fetch_all(database.pool())
        .await
        .expect("ids");
        let mut said = Vec::new();
        for child in children {
            said.push(keys.open(&stored_output(&database, child).await, Purpose::Output(child), "echo"));
        }
        said.sort();
        assert_eq!(said, [b"one".to_vec(), b"two".to_vec()]);

        // Beside it, jobs in clear are as they were.
        let clear = database.enqueue("echo", "in clear").await;
        assert_eq!(stored_output(&database, clear).await, b"in clear");
        assert_eq!(rows_with(&database, SECRET).await, 0);
        let log = host.stop().await;
        assert!(!log.contains(SECRET), "{log}");
    }
}

#[tokio::test]
async fn what_node_seals_as_the_page_shows_is_opened() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["2026-11"]));
    let Some(folder) = node() else { return };
    let host = Host::start(&database, &configured(&keys.file(), "", &hostile("")), &[]).await;
    let program = folder.join(format!("{}-sealed.mjs", std::process::id()));
    let main = format!("console.log(await enqueue('echo', Buffer.from('{SECRET}')));\nawait client.end();\n");
    fs::write(&program, format!("{}\n{main}", snippet("js", "import"))).expect("written");
    let mut command = Command::new("node");
    command.arg(&program).env("PGDSN", database.dsn()).env("SEALING_KEYS", keys.file());
    let id: i64 = output_of(command).await.parse().expect("an id");
    fs::remove_file(program).expect("removed");
    let output = stored_output(&database, id).await;
    assert_eq!(keys.open(&output, Purpose::Output(id), "echo"), SECRET.as_bytes());
    host.stop().await;
}

#[tokio::test]
async fn a_python_worker_opens_what_a_handler_left_for_it() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["2026-11"]));
    let sealed = keys.seal("2026-11", "report", SECRET.as_bytes());
    let mut command = in_python(
        &keys,
        &database,
        "import os",
        "import sys; print(open_sealed(sys.argv[2], sys.argv[1].encode()).decode())",
    );
    command.arg(String::from_utf8(sealed.clone()).expect("ASCII")).arg("report");
    assert_eq!(output_of(command).await, SECRET);
    let mut elsewhere =
        in_python(&keys, &database, "import os", "import sys; open_sealed(sys.argv[2], sys.argv[1].encode())");
    elsewhere.arg(String::from_utf8(sealed).expect("ASCII")).arg("other");
    let said = run_command(elsewhere).await;
    assert!(said.code != 0 && said.stderr.contains("not sealed for"), "{said:?}");
}

#[tokio::test]
async fn what_was_changed_is_held_with_the_reason_and_costs_nobody_else() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["k"]));
    let rules = hostile("require-sealed = true")
        + "[plugins.reuse]\n[plugins.reuse.entrypoints.echo_batch]\nrequire-sealed = true\n";
    let plugins = configured(&keys.file(), "", &rules);
    let sealed = |entrypoint: &str| keys.seal("k", entrypoint, b"payload");
    let changed = |at: fn(&[u8]) -> usize| {
        let mut bytes = sealed("echo");
        let place = at(&bytes);
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        bytes
    };
    let other_key = SealingKeys::new(&["k"]).seal("k", "echo", b"payload");
    let cases: Vec<(&str, Option<Vec<u8>>, &str)> = vec![
        ("echo", Some(changed(|bytes| bytes.len() - 30)), "something in it was changed"),
        // In the header, where the name of the key or of the entrypoint is no longer the same text.
        ("echo", Some(changed(|_| 40)), ""),
        ("echo", Some(sealed("echo")[..150].to_vec()), "five parts"),
        ("echo", Some(sealed("fail")), "sealed for the entrypoint \"fail\""),
        ("echo", Some(other_key), "another key of that name"),
        ("echo", Some(b"{\"amount\": 1}".to_vec()), "not sealed"),
        ("echo", None, "no payload"),
        // Never deleted, whatever is declared for failures.
        ("fail_deleted", Some(b"in clear".to_vec()), "not sealed"),
        ("echo_batch", Some(b"in clear".to_vec()), "not sealed"),
        ("echo_batch", Some(sealed("echo")), "sealed for the entrypoint \"echo\""),
    ];
    // Between good ones, in the same claims and batches.
    let mut jobs = Vec::new();
    for (entrypoint, payload, _) in &cases {
        let job = |entrypoint: &str, payload| NewJob { entrypoint: entrypoint.into(), payload, ..NewJob::default() };
        let good = if *entrypoint == "echo_batch" { "echo_batch" } else { "echo" };
        jobs.extend([job(entrypoint, payload.clone()), job(good, Some(sealed(good)))]);
    }
    let ids = database.queue().enqueue(&jobs, OnConflict::Raise).await.expect("enqueued");
    let host = Host::start(&database, &plugins, &["--listen", "127.0.0.1:0"]).await;
    for ((pair, (entrypoint, _, cause)), turn) in ids.chunks(2).zip(&cases).zip(1..) {
        let said = held(&database, pair[0]).await;
        assert!(said.contains(cause), "case {turn}, {entrypoint}: {said}");
        assert!(!said.contains("payload\"") && !said.contains("amount"), "{said}");
        let output = stored_output(&database, pair[1]).await;
        assert!(sealed_by(&output).is_some(), "case {turn}");
    }
    assert_eq!(
        database.count("SELECT count(*) FROM pgqueuer_attempt AS a JOIN pgqueuer AS q ON q.id = a.job_id").await,
        0,
        "none of them ran"
    );

    // A changed configuration or a mended payload is enough.
    let mut seal = pgq_host(&database.dsn());
    seal.args(["sealing", "seal", "--entrypoint", "fail_deleted", "--keys-file"]).arg(keys.file());
    let mended = piped(seal, b"mended").await;
    assert!(mended.status.success(), "{mended:?}");
    let fixed = ids[14].to_string();
    let mut edit = pgq_host(&database.dsn());
    edit.args(["edit", &fixed, "--payload-file", "/dev/stdin"]);
    let edited = piped(edit, &mended.stdout).await;
    assert!(edited.status.success(), "{edited:?}");
    database.cli_ok(&["requeue", &fixed]).await;
    // It runs, and fails as it is made to: with the text that was sealed.
    eventually("it ran", async || {
        let gone = database.history(ids[14]).await.last().is_some_and(|status| status == "exception");
        gone && database.traceback(ids[14]).await["exception_message"] == "mended"
    })
    .await;
    host.stop().await;
}

#[tokio::test]
async fn a_job_whose_key_comes_later_is_put_back_until_then_without_an_attempt() {
    let (database, mut keys) = (Database::new().await, SealingKeys::new(&["old"]));
    let plugins = configured(&keys.file(), "", &hostile(""));
    let host = Host::start(&database, &plugins, &[]).await;
    keys.add("new");
    let id = database.enqueue("echo", keys.seal("new", "echo", b"x")).await;
    host.wait_for_log("a payload is sealed with a key that this host does not have").await;
    eventually("it is put back", async || database.history(id).await.ends_with(&["picked".into(), "queued".into()]))
        .await;
    assert_eq!(attempts(&database, id).await, 0);
    // Nobody tells the host: it looks again.
    keys.publish(keys.text());
    let output = stored_output(&database, id).await;
    assert_eq!(sealed_by(&output).as_deref(), Some("old"), "the first key seals");
    assert!(!database.history(id).await.contains(&"failed".to_owned()));
    host.stop().await;
}

#[tokio::test]
async fn a_key_that_never_comes_ends_the_wait_and_the_job_is_held_until_it_does() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["here", "elsewhere"]));
    keys.publish(&keys.only("here"));
    let plugins = configured(&keys.file(), "wait = \"1s\"", &hostile(""));
    let host = Host::start(&database, &plugins, &["--listen", "127.0.0.1:0"]).await;
    let id = database.enqueue("echo", keys.seal("elsewhere", "echo", b"x")).await;
    let said = held(&database, id).await;
    assert!(said.contains("\"elsewhere\"") && said.contains("1s") && said.contains("\"here\""), "{said}");
    keys.publish(keys.text());
    host.signal(Signal::HUP);
    host.wait_for_log("SIGHUP").await;
    database.cli_ok(&["requeue", &id.to_string()]).await;
    assert_eq!(keys.open(&stored_output(&database, id).await, Purpose::Output(id), "echo"), b"x");
    host.stop().await;
}

#[tokio::test]
async fn a_host_without_keys_leaves_sealed_jobs_to_those_that_have_them() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["k"]));
    let without = Plugins::with(&["hostile"]);
    let blind = Host::start(&database, &without, &[]).await;
    let seeing = Host::start(&database, &configured(&keys.file(), "", &hostile("")), &[]).await;
    let sealed = database.enqueue_many("echo", 40, keys.seal("k", "echo", b"sealed")).await;
    let clear = database.enqueue_many("echo", 40, "clear").await;
    database.wait_until_done().await;
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer").await, 0, "none is held");
    for id in sealed {
        assert_eq!(keys.open(&stored_output(&database, id).await, Purpose::Output(id), "echo"), b"sealed");
    }
    for id in clear {
        assert_eq!(stored_output(&database, id).await, b"clear");
    }
    seeing.stop().await;
    blind.stop().await;
}

#[tokio::test]
async fn keys_rotate_under_load_and_the_old_one_goes_once_nothing_is_sealed_with_it() {
    let (database, mut keys) = (Database::new().await, SealingKeys::new(&["old"]));
    let plugins = configured(&keys.file(), "", &hostile("require-sealed = true"));
    let host = Host::start(&database, &plugins, &[]).await;
    let mut ids = database.enqueue_many("echo", 300, keys.seal("old", "echo", b"old")).await;
    // Those wait for long, and are still there when the old key is to go.
    let late = NewJob {
        entrypoint: "echo".into(),
        payload: Some(keys.seal("old", "echo", b"late")),
        delay: std::time::Duration::from_secs(86_400),
        ..NewJob::default()
    };
    let waiting = database.queue().enqueue(&vec![late; 20], OnConflict::Raise).await.expect("enqueued");
    keys.add("new");
    // First both are everywhere; then producers seal with the new one, and hosts.
    keys.publish(keys.text());
    ids.extend(database.enqueue_many("echo", 300, keys.seal("new", "echo", b"new")).await);
    let (file, sealing) = (keys.file(), "seal-with = \"new\"");
    let config =
        format!("[sealing]\nkeys-file = \"{}\"\n{sealing}\n{}", file.display(), hostile("require-sealed = true"));
    plugins.write("pgq-host.toml", config);
    host.signal(Signal::HUP);
    ids.extend(database.enqueue_many("echo", 300, keys.seal("old", "echo", b"old")).await);

    // What waits is counted first, then sealed anew.
    let toml = plugins.config().display().to_string();
    let reseal = ["sealing", "reseal", "--entrypoint", "echo", "--older", "0", "--config", &toml, "--json"];
    let counted = database.run_cli(&reseal).await;
    assert!(counted.code == 1 && counted.stderr.contains("nothing was done"), "{counted:?}");
    database.wait_until_queue_has(20).await;
    let done = database.cli_ok(&[&reseal[..], &["--yes"]].concat()).await.json();
    assert_eq!((&done["matched"], &done["resealed"], &done["left"]), (&json!(20), &json!(20), &json!(0)), "{done}");
    let again = database.cli_ok(&[&reseal[..], &["--yes"]].concat()).await.json();
    assert_eq!((&again["resealed"], &again["left"]), (&json!(0), &json!(20)), "{again}");
    let audit = database.cli_ok(&["audit", "--json"]).await.json();
    assert_eq!((&audit[1]["action"], &audit[1]["jobs"]), (&json!("reseal"), &json!(20)), "{audit}");

    // The old key goes.
    keys.publish(&keys.only("new"));
    host.signal(Signal::HUP);
    eventually("SIGHUP is heard twice", async || host.log().matches("SIGHUP").count() == 2).await;
    database.cli_ok(&["retry-now", "--all", "--yes"]).await;
    for id in ids.into_iter().chain(waiting) {
        let said = keys.open(&stored_output(&database, id).await, Purpose::Output(id), "echo");
        assert!([&b"old"[..], b"new", b"late"].contains(&&said[..]));
    }
    assert_eq!(database.count("SELECT count(*) FROM pgqueuer_log WHERE status = 'failed'").await, 0);
    host.stop().await;
}

#[tokio::test]
async fn outputs_are_sealed_anew_whatever_became_of_their_jobs() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["new", "old"]));
    let keep = async |id: i64, entrypoint: &str, output: Vec<u8>| {
        let query = sqlx::query("INSERT INTO pgqueuer_output (job_id, entrypoint, output) VALUES ($1, $2, $3)");
        query.bind(id).bind(entrypoint).bind(output).execute(database.pool()).await.expect("kept");
    };
    let sealed = |id: i64, key: &str, content: &[u8]| keys.seal_as(key, Purpose::Output(id), "echo", content);
    let large = b"large ".repeat(2 << 20);
    // More than are looked at at once.
    for id in 1..=1_100 {
        keep(id, "echo", sealed(id, "old", b"x")).await;
    }
    keep(2_001, "echo", sealed(2_001, "old", &large)).await;
    keep(2_002, "echo", sealed(2_002, "new", b"is new")).await;
    keep(2_003, "echo", b"in clear".to_vec()).await;
    keep(2_004, "echo", sealed(2_001, "old", b"of another job")).await;
    keep(2_005, "echo", SealingKeys::new(&["lost"]).seal_as("lost", Purpose::Output(2_005), "echo", b"x")).await;
    keep(2_006, "other", keys.seal_as("old", Purpose::Output(2_006), "other", b"other")).await;
    let file = keys.file().display().to_string();
    let outputs = async |arguments: &[&str]| {
        let verb = ["sealing", "reseal-outputs", "--keys-file", &file, "--json"];
        database.run_cli(&[&verb[..], arguments].concat()).await
    };

    let asked = outputs(&[]).await;
    assert!(asked.code == 2 && asked.stderr.contains("--all"), "{asked:?}");
    let counted = outputs(&["--entrypoint", "echo"]).await;
    assert!(counted.code == 1 && counted.stderr.contains("1103 of 1106 output(s) match"), "{counted:?}");
    let one = outputs(&["1", "9999", "--yes"]).await.json();
    assert_eq!((&one["looked_at"], &one["resealed"], &one["left"]), (&json!(2), &json!(1), &json!(1)), "{one}");
    let done = outputs(&["--entrypoint", "echo", "--yes"]).await;
    assert!(done.code == 1 && done.stderr.contains("2 output(s) could not be opened"), "{}", done.stderr);
    let done = done.json();
    assert_eq!((&done["resealed"], &done["left"], &done["busy"]), (&json!(1_100), &json!(4), &json!(0)), "{done}");
    let unopened: Vec<_> = done["unopened"].as_array().expect("a list").iter().map(|one| &one["id"]).collect();
    assert_eq!(unopened, [&json!(2_004), &json!(2_005)], "{done}");

    for (id, said) in [(1, &b"x"[..]), (1_100, b"x"), (2_001, &large), (2_002, b"is new")] {
        let output = kept_output(&database, id).await;
        assert_eq!(sealed_by(&output).as_deref(), Some("new"), "{id}");
        assert_eq!(keys.open(&output, Purpose::Output(id), "echo"), said, "{id}");
    }
    for (id, by) in [(2_003, None), (2_004, Some("old")), (2_005, Some("lost")), (2_006, Some("old"))] {
        assert_eq!(sealed_by(&kept_output(&database, id).await).as_deref(), by, "{id}");
    }
    outputs(&["--all", "--clear-too", "--yes"]).await;
    for (id, entrypoint, said) in [(2_003, "echo", &b"in clear"[..]), (2_006, "other", b"other")] {
        let output = kept_output(&database, id).await;
        assert_eq!(keys.open(&output, Purpose::Output(id), entrypoint), said, "{id}");
    }
    let audit = database.cli_ok(&["audit", "--json"]).await.json();
    assert_eq!((&audit[1]["action"], &audit[1]["jobs"]), (&json!("reseal_outputs"), &json!(1_100)), "{audit}");
}

#[tokio::test]
async fn keys_come_from_a_command_and_bad_ones_at_a_hangup_change_nothing() {
    let (database, mut keys) = (Database::new().await, SealingKeys::new(&["one"]));
    let plugins = Plugins::with(&["hostile"]);
    let config = format!("[sealing]\nkeys-command = [\"/bin/cat\", \"{}\"]\n{}", keys.file().display(), hostile(""));
    plugins.write("pgq-host.toml", config);
    let host = Host::start(&database, &plugins, &[]).await;
    let opens = async |id: &str| {
        let job = database.enqueue("echo", keys.seal(id, "echo", b"x")).await;
        stored_output(&database, job).await;
    };
    opens("one").await;
    keys.publish("{\"keys\": []}");
    host.signal(Signal::HUP);
    host.wait_for_log("grants stay as they were").await;
    assert!(
        host.log().contains("sealing.keys-command prints no keys") && !host.log().contains("/bin/cat"),
        "{}",
        host.log()
    );
    opens("one").await;
    keys.add("two");
    keys.publish(keys.text());
    host.signal(Signal::HUP);
    let job = database.enqueue("echo", keys.seal("two", "echo", b"x")).await;
    stored_output(&database, job).await;
    host.stop().await;
}

#[tokio::test]
async fn a_host_whose_keys_cannot_be_read_does_not_start_and_says_why() {
    use std::os::unix::fs::PermissionsExt as _;
    let (database, keys) = (Database::new().await, SealingKeys::new(&["k"]));
    let nowhere = PathBuf::from("/nowhere/keys.jwks");
    let open = keys.write("open.jwks", keys.text());
    fs::set_permissions(&open, fs::Permissions::from_mode(0o644)).expect("set");
    let none = keys.write("none.jwks", "secret");
    let good = keys.file();
    for (file, sealing, part) in [
        (&nowhere, "", "/nowhere/keys.jwks"),
        (&open, "", "chmod 600"),
        (&none, "", "no JWK Set"),
        (&good, "seal-with = \"other\"", "\"other\""),
    ] {
        let plugins = configured(file, sealing, "");
        let mut host = Host::spawn(&database, &plugins, &[]);
        assert_eq!(host.ended().await.code(), Some(1), "{part}");
        host.wait_for_log(part).await;
        assert!(!host.log().contains("secret"), "{}", host.log());
    }
}

#[tokio::test]
async fn a_large_payload_and_a_suspect_are_opened_as_well() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["k"]));
    let large = vec![b'x'; 3 << 20];
    let id = database.enqueue("echo", keys.seal("k", "echo", &large)).await;
    // Its worker was lost: it runs apart.
    let suspect = database.enqueue("echo", keys.seal("k", "echo", b"suspect")).await;
    database.execute(&format!("INSERT INTO pgqueuer_suspect (job_id) VALUES ({suspect})")).await;
    let host = Host::start(&database, &configured(&keys.file(), "", &hostile("")), &[]).await;
    assert!(keys.open(&stored_output(&database, id).await, Purpose::Output(id), "echo") == large);
    assert_eq!(keys.open(&stored_output(&database, suspect).await, Purpose::Output(suspect), "echo"), b"suspect");
    host.wait_for_log("jobs that a lost worker held are run apart").await;
    host.stop().await;
}

#[tokio::test]
async fn a_crashed_batch_of_sealed_jobs_runs_job_by_job() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["k"]));
    let rules = "[plugins.reuse]\nrequire-sealed = true\n";
    let payloads = ["fine", "panic", "fine", "fine"];
    let job = |payload: &&str| NewJob {
        entrypoint: "batch".into(),
        payload: Some(keys.seal("k", "batch", payload.as_bytes())),
        ..NewJob::default()
    };
    let jobs: Vec<NewJob> = payloads.iter().map(job).collect();
    let ids = database.queue().enqueue(&jobs, OnConflict::Raise).await.expect("enqueued");
    let host = Host::start(&database, &configured(&keys.file(), "", rules), &[]).await;
    for (id, payload) in ids.iter().zip(payloads) {
        match payload {
            "panic" => database.wait_for(*id, "failed").await,
            _ => assert!(sealed_by(&stored_output(&database, *id).await).is_some()),
        }
    }
    assert_eq!(database.traceback(ids[1]).await["exception_type"], "Trap");
    host.stop().await;
}

#[tokio::test]
async fn what_is_sealed_is_shown_as_sealed_everywhere_and_opened_only_with_the_key() {
    let (database, keys) = (Database::new().await, SealingKeys::new(&["2026-11"]));
    let envelope = keys.seal("2026-11", "charge", SECRET.as_bytes());
    let id = database.enqueue("charge", envelope.clone()).await;
    let (bytes, job) = (envelope.len(), id.to_string());
    let content = json!({ "bytes": bytes, "cut": false, "sealed": { "key": "2026-11" } });
    // Text that is in the envelope, and would be in what shows it.
    let inside = String::from_utf8(envelope[200..230].to_vec()).expect("ASCII");
    let hides = |what: &str, text: &str| assert!(!text.contains(&inside) && !text.contains(SECRET), "{what}: {text}");

    let told = database.cli_ok(&["job", &job]).await.stdout;
    assert!(told.contains(&format!("Payload: {bytes} bytes, sealed with key 2026-11")), "{told}");
    hides("job", &told);
    let told = database.cli_ok(&["job", &job, "--json"]).await;
    assert_eq!(told.json()["row"]["payload"], content);
    hides("job --json", &told.stdout);
    hides("jobs", &database.cli_ok(&["jobs", "--json"]).await.stdout);

    let session = McpSession::ours(&database, &["--payloads"], &[("queue_table_info", json!({}))]).await;
    assert_eq!(session.rows(0)[0]["payload"], format!("(sealed with key 2026-11: {bytes} bytes)"));

    let web = Web::start(&database.dsn(), &[]).await;
    let shown = web.ask(&format!("GET /jobs/{id}")).answer().await.body;
    assert!(shown.contains("It is sealed with the key") && shown.contains("2026-11"), "{shown}");
    hides("the page", &shown);
    let api = web.ask(&format!("GET /api/v1/jobs/{id}")).answer().await;
    let api: Value = serde_json::from_str(&api.body).expect("JSON");
    assert_eq!(api["row"]["payload"], content, "{api}");
    web.host.stop().await;

    // Whoever has the key opens it. Whoever has not is told which.
    let file = keys.file().display().to_string();
    let opened = database.cli_ok(&["sealing", "open", &job, "--keys-file", &file]).await;
    assert_eq!(opened.stdout, SECRET);
    let others = SealingKeys::new(&["mine"]);
    let refused =
        database.run_cli(&["sealing", "open", &job, "--keys-file", &others.file().display().to_string()]).await;
    assert!(refused.code == 1 && refused.stderr.contains("\"2026-11\"") && refused.stdout.is_empty(), "{refused:?}");
    assert_eq!(database.cli_ok(&["job", &job, "--payload"]).await.stdout.as_bytes(), envelope, "byte for byte");
}

#[tokio::test]
async fn verbs_make_keys_seal_and_open() {
    let (database, folder) = (Database::new().await, tempfile::tempdir().expect("a folder"));
    let file = folder.path().join("sealing.jwks").display().to_string();
    for id in ["one", "two"] {
        let made = database.cli_ok(&["sealing", "keygen", id, "--keys-file", &file, "--json"]).await;
        assert_eq!(made.json()["id"], id);
    }
    let twice = database.run_cli(&["sealing", "keygen", "two", "--keys-file", &file]).await;
    assert!(twice.code == 2 && twice.stderr.contains("\"two\" is there twice"), "{twice:?}");
    let queued = database.cli_ok(&["queue", "echo", SECRET, "--seal", "--keys-file", &file, "--json"]).await;
    let id = queued.json()["id"].to_string();
    let shown = database.cli_ok(&["job", &id, "--json"]).await.json();
    assert_eq!(shown["row"]["payload"]["sealed"]["key"], "one");
    assert_eq!(database.cli_ok(&["sealing", "open", &id, "--keys-file", &file]).await.stdout, SECRET);
    let empty = database.run_cli(&["queue", "echo", "--seal", "--keys-file", &file]).await;
    assert!(empty.code == 2 && empty.stderr.contains("--seal"), "{empty:?}");

    let sealing = |args: &[&str]| {
        let mut command = Command::new(host_binary());
        command.arg("sealing").args(args).args(["--keys-file", &file]);
        command
    };
    let sealed = piped(sealing(&["seal", "--entrypoint", "charge", "--key", "two"]), b"x").await.stdout;
    assert_eq!(sealed_by(&sealed).as_deref(), Some("two"));
    let opened = piped(sealing(&["open", "--entrypoint", "charge"]), &[&sealed[..], b"\n"].concat()).await;
    assert_eq!(opened.stdout, b"x");
    let elsewhere = piped(sealing(&["open", "--entrypoint", "refund"]), &sealed).await;
    assert!(!elsewhere.status.success() && elsewhere.stdout.is_empty(), "{elsewhere:?}");
    // A token that is not ours is a payload like any other, and stays one.
    let token = database.enqueue("echo", "eyJhbGciOiJIUzI1NiJ9.e30.x").await;
    let done = database.cli_ok(&["sealing", "reseal", "--all", "--yes", "--keys-file", &file, "--json"]).await.json();
    assert_eq!((&done["matched"], &done["resealed"], &done["left"]), (&json!(2), &json!(0), &json!(2)), "{done}");
    database.cli_ok(&["cancel", &token.to_string()]).await;
    // What is there in clear can be sealed later.
    let clear = database.enqueue("echo", "in clear").await;
    let reseal = ["sealing", "reseal", "--all", "--yes", "--clear-too", "--keys-file", &file, "--json"];
    let done = database.cli_ok(&reseal).await.json();
    assert_eq!((&done["matched"], &done["resealed"], &done["left"]), (&json!(2), &json!(1), &json!(1)), "{done}");
    assert_eq!(
        database.cli_ok(&["sealing", "open", &clear.to_string(), "--keys-file", &file]).await.stdout,
        "in clear"
    );
}
