//! Files that are not plugins: each is refused with file, cause and remedy, while the others
//! continue to run.

use pgq_host_tests::{Database, Host, Plugins, eventually, guest};

/// Start a host on `hello` and this file. Its log must contain each of the texts, and `hello` must
/// work.
async fn refused(file: &str, bytes: Vec<u8>, texts: &[&str]) {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    plugins.write(file, bytes);
    let host = Host::start(&database, &plugins, &[]).await;
    let log = host.log();
    let line = log
        .lines()
        .find(|line| line.contains("plugin refused"))
        .unwrap_or_else(|| panic!("nothing is refused:\n{log}"));
    for text in texts.iter().chain([&file]) {
        assert!(line.contains(text), "{text:?} is missing in: {line}");
    }
    let id = database.enqueue("hello", r#"{"name": "Ada"}"#).await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

fn wat(text: &str) -> Vec<u8> {
    wat::parse_str(text).unwrap()
}

fn read(name: &str) -> Vec<u8> {
    std::fs::read(guest(name)).unwrap()
}

/// A plugin with `count` additional core modules, each instantiated and started after its own.
pub(crate) fn with_modules(plugin: &str, text: &str, count: usize) -> Vec<u8> {
    fn leb(mut value: usize, bytes: &mut Vec<u8>) {
        while value >= 0x80 {
            bytes.push(value as u8 | 0x80);
            value >>= 7;
        }
        bytes.push(value as u8);
    }
    fn section(id: u8, content: &[u8], bytes: &mut Vec<u8>) {
        bytes.push(id);
        leb(content.len(), bytes);
        bytes.extend(content);
    }
    let mut bytes = read(plugin);
    // How many modules it already has: one per section.
    let (mut modules, mut at) = (0, 8);
    while at < bytes.len() {
        modules += usize::from(bytes[at] == 1);
        let (mut length, mut shift) = (0_usize, 0);
        loop {
            at += 1;
            length |= usize::from(bytes[at] & 0x7f) << shift;
            shift += 7;
            if bytes[at] & 0x80 == 0 {
                break;
            }
        }
        at += 1 + length;
    }
    let module = wat(text);
    for index in modules..modules + count {
        section(1, &module, &mut bytes);
        let mut instance = vec![1, 0];
        leb(index, &mut instance);
        instance.push(0);
        section(2, &instance, &mut bytes);
    }
    bytes
}

/// A module that does this repeatedly in its start function, and traps when it is denied.
fn grows(declarations: &str, grow: &str) -> String {
    let body = format!("(loop $again (br_if $again (i32.ge_s {grow} (i32.const 0)))) unreachable");
    format!("(module {declarations} (func $start {body}) (start $start))")
}

#[tokio::test]
async fn a_few_additional_modules_are_accepted() {
    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    plugins.write("hello.wasm", with_modules("hello", "(module (memory 10) (table 10 funcref))", 5));
    let host = Host::start(&database, &plugins, &[]).await;
    let id = database.enqueue("hello", r#"{"name": "Ada"}"#).await;
    database.wait_for(id, "successful").await;
    host.stop().await;
}

#[tokio::test]
async fn memories_that_are_too_large_only_together() {
    refused("many.wasm", with_modules("hostile", "(module (memory 800))", 6), &["`describe` failed", "OutOfMemory"])
        .await;
}

#[tokio::test]
async fn more_memories_than_a_plugin_may_have() {
    refused("too-many.wasm", with_modules("hostile", "(module (memory 1))", 20), &["memories"]).await;
}

#[tokio::test]
async fn a_memory_that_grows() {
    let module = grows("(memory 1)", "(memory.grow (i32.const 16))");
    refused("memory.wasm", with_modules("hostile", &module, 1), &["`describe` failed", "OutOfMemory"]).await;
}

#[tokio::test]
async fn a_table_that_grows() {
    let module = grows("(table 1 funcref)", "(table.grow (ref.null func) (i32.const 1000))");
    refused("table.wasm", with_modules("hostile", &module, 1), &["`describe` failed", "OutOfMemory", "table"]).await;
}

#[tokio::test]
async fn an_empty_file() {
    refused("empty.wasm", Vec::new(), &["empty", "wasm32-wasip2"]).await;
}

#[tokio::test]
async fn a_file_that_is_not_wasm() {
    refused("notes.wasm", b"remember the milk".to_vec(), &["not WebAssembly"]).await;
}

#[tokio::test]
async fn a_truncated_file() {
    let mut bytes = read("hostile");
    bytes.truncate(bytes.len() / 2);
    refused("half.wasm", bytes, &["truncated", "copy or build the file again"]).await;
}

#[tokio::test]
async fn a_file_with_garbage_in_it() {
    let mut bytes = read("hostile");
    let middle = bytes.len() / 2;
    bytes[middle..middle + 256].fill(0xFF);
    refused("damaged.wasm", bytes, &["plugin refused"]).await;
}

#[tokio::test]
async fn a_core_module() {
    refused("core.wasm", wat("(module (func (export \"handle\")))"), &["core module", "wasm32-wasip2"]).await;
}

#[tokio::test]
async fn another_version_of_the_contract() {
    let component = wat(r#"(component (instance $i) (export "pgq:plugin/handler@0.2.0" (instance $i)))"#);
    refused("future.wasm", component, &["pgq:plugin/handler@0.2.0", "0.1", "rebuild"]).await;
}

#[tokio::test]
async fn a_component_that_is_not_a_plugin() {
    refused("other.wasm", wat("(component)"), &["does not export pgq:plugin/describe", "export!"]).await;
}

#[tokio::test]
async fn an_unknown_import_is_named() {
    let component = wat(r#"(component
            (import "evil:corp/api@1.0.0" (instance (export "steal" (func))))
            (instance $i)
            (export "pgq:plugin/describe@0.1.0" (instance $i))
            (export "pgq:plugin/handler@0.1.0" (instance $i)))"#);
    refused("evil.wasm", component, &["evil:corp/api@1.0.0", "steal", "does not provide"]).await;
}

#[tokio::test]
async fn exports_of_the_wrong_type() {
    let component = wat(r#"(component
            (instance $i)
            (export "pgq:plugin/describe@0.1.0" (instance $i))
            (export "pgq:plugin/handler@0.1.0" (instance $i)))"#);
    refused("hollow.wasm", component, &["does not match the contract"]).await;
}

#[tokio::test]
async fn two_plugins_that_claim_one_entrypoint() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hostile", "taken"]));
    let host = Host::start(&database, &plugins, &[]).await;
    let log = host.log();
    let line = log.lines().find(|line| line.contains("plugin refused")).unwrap();
    assert!(line.contains("taken.wasm") && line.contains("\\\"echo\\\"") || line.contains("\"echo\""), "{line}");
    assert!(line.contains("hostile.wasm") && line.contains("rename the entrypoint"), "{line}");
    let id = database.enqueue("echo", "x").await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.output(id).await.as_deref(), Some("x"), "the first file by name serves it");
    host.stop().await;
}

#[tokio::test]
async fn a_copy_of_a_plugin_under_another_name() {
    let bytes = read("hello");
    refused("hello2.wasm", bytes, &["a plugin named", "hello.wasm", "rename the plugin"]).await;
}

#[tokio::test]
async fn describe_that_never_ends() {
    refused("describe-loops.wasm", read("describe-loops"), &["`describe` failed", "DeadlineExceeded"]).await;
}

#[tokio::test]
async fn describe_that_panics() {
    refused("describe-panics.wasm", read("describe-panics"), &["`describe` failed", "cannot say what I am"]).await;
}

#[tokio::test]
async fn an_invalid_declaration_is_refused_with_all_mistakes_at_once() {
    let all = ["Not A Name", "twice", "max-attempts of 0", "4 GiB", "timeout of 0 ms", "whenever", "example.com"];
    refused("describe-lies.wasm", read("describe-lies"), &all).await;
}

#[tokio::test]
async fn a_missing_folder_is_an_error_that_names_it() {
    let database = Database::new().await;
    let mut command = tokio::process::Command::new(pgq_host_tests::host_binary());
    command.args(["run", "--plugins", "/nowhere/plugins"]).env("PGDSN", database.dsn());
    let output = command.output().await.unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains("/nowhere/plugins") && error.contains("--plugins"), "{error}");
}

#[tokio::test]
async fn compiled_code_that_is_damaged_or_foreign_is_made_again_and_never_run() {
    let (database, plugins) = (Database::new().await, Plugins::with(&["hello"]));
    let cache = tempfile::tempdir().unwrap();
    let folder = cache.path().join("code");
    let args = ["--cache-dir", folder.to_str().unwrap()];
    let host = Host::start(&database, &plugins, &args).await;
    let mut file = std::path::PathBuf::new();
    // Quick code is there first, and gone once there is better.
    eventually("its optimised code is the only one", async || {
        let files = std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path());
        let mut compiled = files.filter(|file| file.extension().is_some_and(|ending| ending == "cwasm"));
        file = compiled.next().unwrap_or_default();
        compiled.next().is_none() && !file.to_string_lossy().contains("quick") && file.is_file()
    })
    .await;
    host.stop().await;
    let good = std::fs::read(&file).unwrap();
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for bad in [flipped, good[..good.len() - 1].to_vec(), Vec::new(), [vec![0; 32], good[32..].to_vec()].concat()] {
        std::fs::write(&file, bad).unwrap();
        let host = Host::start(&database, &plugins, &args).await;
        let id = database.enqueue("hello", r#"{"name": "Ada"}"#).await;
        database.wait_for(id, "successful").await;
        eventually("it was made again", async || std::fs::read(&file).is_ok_and(|made| made == good)).await;
        assert!(host.stop().await.contains("compiled again"));
    }
    // A folder that others can write to is not used at all.
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).unwrap();
    let log = Host::start(&database, &plugins, &args).await.stop().await;
    assert!(log.contains("plant native code") && log.contains("chmod 700"), "{log}");
}
