//! Plugins from a registry: pushed, pulled, run, followed as their tags move, and served on when the
//! registry is down, lies, or asks for a password. Each test has a registry of its own.

use std::path::Path;

use pgq_host_tests::{
    CliOutput, Database, Host, Key, PASSWORD, Plugins, Proxy, Registry, eventually, host_binary, pgq_host, run_command,
    trust,
};
use pgq_trust::Algorithm;
use serde_json::Value;
use tokio::process::Command;

use crate::reload::{sha256, version};

/// Run `pgq-host plugin` with these arguments, with these credentials.
async fn plugin(args: &[&str], docker: Option<&Path>) -> CliOutput {
    let mut command = pgq_host("postgresql://unused");
    command.arg("plugin").args(args).env_remove("PGQ_HOST_CONFIG").current_dir(std::env::temp_dir());
    command.env("PGQ_HOST_CACHE_DIR", std::env::temp_dir().join("pgq-host-tests-pushed"));
    command.env("DOCKER_CONFIG", docker.unwrap_or(Path::new("/nonexistent")));
    run_command(command).await
}

async fn ok(args: &[&str]) -> Value {
    let said = plugin(&[args, &["--json"]].concat(), None).await;
    assert_eq!(said.code, 0, "{args:?}: {said:?}");
    said.json()
}

/// A file with this version of the guest `hostile`, whose `echo` the tests run.
fn component(folder: &Path, number: u32) -> (String, Vec<u8>) {
    let (path, bytes) = (folder.join(format!("v{number}.wasm")), version("hostile", number));
    std::fs::write(&path, &bytes).expect("written");
    (path.to_str().expect("text").to_owned(), bytes)
}

/// The host's announcement of its first file, as soon as it satisfies the condition.
async fn announced(database: &Database, what: &str, holds: impl Fn(&Value) -> bool) {
    eventually(what, async || {
        let row: Option<Option<Value>> =
            sqlx::query_scalar("SELECT plugins -> 0 FROM pgqueuer_host ORDER BY started DESC LIMIT 1")
                .fetch_optional(database.pool())
                .await
                .expect("a row");
        row.flatten().is_some_and(|file| holds(&file))
    })
    .await;
}

fn serves(bytes: &[u8]) -> impl Fn(&Value) -> bool {
    let digest = sha256(bytes);
    move |file| file["sha256"] == digest.as_str() && file["error"].is_null()
}

async fn echo(database: &Database) {
    database.wait_for(database.enqueue("echo", "x").await, "successful").await;
}

/// A host on this reference, besides an empty folder.
fn host(database: &Database, plugins: &Plugins, reference: &str, cache: &Path, args: &[&str]) -> Host {
    let mut command = Command::new(host_binary());
    command.arg("run").arg("--plugins").arg(plugins.path()).args(["--plugins", reference]);
    command.args(["--registry-interval", "1", "--cache-dir"]).arg(cache).args(args);
    command.env("PGDSN", database.dsn()).env("PGQ_HOST_CONFIG", plugins.config());
    command.env("DOCKER_CONFIG", cache.join("docker"));
    Host::launch(command)
}

struct World {
    database: Database,
    plugins: Plugins,
    folder: tempfile::TempDir,
    cache: tempfile::TempDir,
}

async fn world() -> World {
    let folder = || tempfile::tempdir().expect("a folder");
    World { database: Database::new().await, plugins: Plugins::with(&[]), folder: folder(), cache: folder() }
}

#[tokio::test]
async fn a_tag_that_moves_is_a_reload_forwards_and_back_while_jobs_run() {
    let Some(registry) = Registry::start().await else { return };
    let World { database, plugins, folder, cache } = world().await;
    let reference = registry.reference("team/echo:live");
    let ((one_file, one), (two_file, two)) = (component(folder.path(), 1), component(folder.path(), 2));
    let first = ok(&["push", &one_file, &reference]).await;
    let host = host(&database, &plugins, &reference, &cache.path().join("code"), &[]);
    announced(&database, "the first version", serves(&one)).await;
    let jobs = database.enqueue_many("echo", 200, "x").await;
    ok(&["push", &two_file, &reference]).await;
    let more = database.enqueue_many("echo", 200, "x").await;
    announced(&database, "the second version", serves(&two)).await;
    // Moved back: to the very manifest of before.
    let again = registry.reference(&format!("team/echo@{}", first["digest"].as_str().expect("a digest")));
    let back = folder.path().join("back");
    ok(&["pull", &again, "--out", back.to_str().expect("text")]).await;
    assert_eq!(std::fs::read(back.join("echo.wasm")).expect("pulled"), one);
    ok(&["push", &one_file, &reference]).await;
    announced(&database, "the first version again", serves(&one)).await;
    for job in jobs.into_iter().chain(more) {
        database.wait_for(job, "successful").await;
    }
    host.stop().await;
}

#[tokio::test]
async fn what_is_pushed_has_the_format_of_other_tools() {
    let Some(registry) = Registry::start().await else { return };
    let World { folder, .. } = world().await;
    let (file, bytes) = component(folder.path(), 1);
    let pushed = ok(&["push", &file, &registry.reference("echo:1")]).await;
    let read = |digest: &str| -> Value {
        serde_json::from_slice(&std::fs::read(registry.blob(digest)).expect("a blob")).expect("JSON")
    };
    let manifest = read(pushed["digest"].as_str().expect("a digest"));
    assert_eq!(manifest["mediaType"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().map(Vec::len), Some(1));
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    assert_eq!(manifest["layers"][0]["digest"], format!("sha256:{}", sha256(&bytes)));
    let config = read(manifest["config"]["digest"].as_str().expect("a digest"));
    assert_eq!((&config["architecture"], &config["os"]), (&"wasm".into(), &"wasip2".into()));
    assert_eq!(config["layerDigests"][0], manifest["layers"][0]["digest"]);
    let exports = config["component"]["exports"].as_array().expect("a list");
    assert!(exports.iter().any(|export| export.as_str().is_some_and(|name| name.starts_with("pgq:plugin/handler@"))));
    // What no host would load is not pushed.
    let notes = folder.path().join("notes.wasm");
    std::fs::write(&notes, "remember the milk").expect("written");
    let said = plugin(&["push", notes.to_str().expect("text"), &registry.reference("notes:1")], None).await;
    assert!(said.code == 1 && said.stderr.contains("not WebAssembly"), "{said:?}");
    let said = plugin(&["pull", &registry.reference("notes:1")], None).await;
    assert!(said.code == 1 && said.stderr.contains("is not there"), "{said:?}");
}

#[tokio::test]
async fn a_registry_that_is_down_stops_nothing_and_a_start_needs_none() {
    let Some(mut registry) = Registry::start().await else { return };
    let World { database, plugins, folder, cache } = world().await;
    let (reference, code) = (registry.reference("echo:live"), cache.path().join("code"));
    let ((one_file, one), (two_file, two)) = (component(folder.path(), 1), component(folder.path(), 2));
    ok(&["push", &one_file, &reference]).await;
    let before = host(&database, &plugins, &reference, &code, &[]);
    announced(&database, "the first version", serves(&one)).await;
    registry.kill();
    before.wait_for_log("what was pulled before is served").await;
    echo(&database).await;
    before.stop().await;
    let after = host(&database, &plugins, &reference, &code, &[]);
    announced(&database, "the first version, offline", serves(&one)).await;
    echo(&database).await;
    registry.restart().await;
    ok(&["push", &two_file, &reference]).await;
    announced(&database, "the second version", serves(&two)).await;
    after.stop().await;
    // Whoever changes the cache changes nothing that is served: it is pulled again.
    let copies = std::fs::read_dir(code.join("registry")).expect("a folder").flatten();
    for copy in copies {
        std::fs::write(copy.path().join("echo.wasm"), version("hostile", 66)).expect("written");
    }
    let last = host(&database, &plugins, &reference, &code, &[]);
    announced(&database, "the second version, pulled again", serves(&two)).await;
    last.stop().await;
}

#[tokio::test]
async fn bytes_that_are_not_those_of_their_digest_are_never_served() {
    let Some(registry) = Registry::start().await else { return };
    let World { database, plugins, folder, cache } = world().await;
    let reference = registry.reference("echo:live");
    let ((one_file, one), (two_file, two)) = (component(folder.path(), 1), component(folder.path(), 2));
    ok(&["push", &one_file, &reference]).await;
    let host = host(&database, &plugins, &reference, &cache.path().join("code"), &[]);
    announced(&database, "the first version", serves(&one)).await;
    // The layer is there before the tag leads to it, and somebody changes it: one byte, or its end.
    let other = registry.reference("echo:other");
    let layer = ok(&["push", &two_file, &other]).await["component"].as_str().expect("a digest").to_owned();
    let (blob, out) = (registry.blob(&layer), folder.path().join("out"));
    let mut wrong = two.clone();
    let middle = wrong.len() / 2;
    wrong[middle] ^= 1;
    for damaged in [&wrong[..], &two[..two.len() - 100]] {
        std::fs::write(&blob, damaged).expect("written");
        let said = plugin(&["pull", &other, "--out", out.to_str().expect("text")], None).await;
        assert!(said.code == 1 && said.stderr.contains("has the digest"), "{said:?}");
        assert!(!out.join("echo.wasm").exists());
    }
    ok(&["push", &two_file, &reference]).await;
    host.wait_for_log("has the digest").await;
    echo(&database).await;
    announced(&database, "the first version stays", serves(&one)).await;
    std::fs::write(&blob, &two).expect("written");
    announced(&database, "the second version, mended", serves(&two)).await;
    host.stop().await;
}

#[tokio::test]
async fn a_connection_that_ends_in_the_middle_leaves_nothing_behind() {
    let Some(registry) = Registry::start().await else { return };
    let World { folder, .. } = world().await;
    let (file, bytes) = component(folder.path(), 1);
    ok(&["push", &file, &registry.reference("echo:1")]).await;
    let proxy = Proxy::before(&format!("postgresql://x:x@{}/x", registry.address())).await;
    let (reference, out) = (format!("oci://{}/echo:1", proxy.address()), folder.path().join("out"));
    let args = ["pull", &reference, "--out", out.to_str().expect("text")];
    proxy.fall_silent_after(bytes.len() as u64 / 2);
    let pulling = plugin(&args, None);
    let cutting = async {
        eventually("half of it went through", async || proxy.is_silent()).await;
        proxy.cut();
    };
    let (said, ()) = tokio::join!(pulling, cutting);
    assert!(said.code == 1 && said.stderr.contains("cannot be reached"), "{said:?}");
    assert!(!out.join("echo.wasm").exists());
    proxy.recover();
    let said = plugin(&args, None).await;
    assert_eq!((said.code, std::fs::read(out.join("echo.wasm")).expect("pulled")), (0, bytes), "{}", said.stderr);
}

#[tokio::test]
async fn passwords_are_dockers_and_without_one_the_error_says_what_to_do() {
    let Some(registry) = Registry::with_password().await else { return };
    let World { database, plugins, folder, cache } = world().await;
    let (reference, (file, bytes)) = (registry.reference("echo:1"), component(folder.path(), 1));
    let said = plugin(&["push", &file, &reference], None).await;
    assert!(said.code == 1 && said.stderr.contains("docker login"), "{said:?}");
    let wrong = registry.docker_config("open barley");
    let said = plugin(&["push", &file, &reference], Some(&wrong)).await;
    assert!(said.code == 1 && said.stderr.contains("refuses those"), "{said:?}");
    assert!(!said.stderr.contains("barley"), "{said:?}");
    let right = registry.docker_config(PASSWORD);
    let said = plugin(&["push", &file, &reference], Some(&right)).await;
    assert_eq!(said.code, 0, "{said:?}");
    let code = cache.path().join("code");
    let host = host(&database, &plugins, &reference, &code, &[]);
    host.wait_for_log("wants credentials").await;
    // `docker login` while it runs.
    std::fs::create_dir_all(code.join("docker")).expect("created");
    std::fs::copy(right.join("config.json"), code.join("docker/config.json")).expect("copied");
    announced(&database, "the version", serves(&bytes)).await;
    echo(&database).await;
    assert!(!host.stop().await.contains(PASSWORD));
}

#[tokio::test]
async fn signatures_in_the_registry_are_as_good_as_those_in_a_folder_and_a_lock_holds_a_tag() {
    let Some(registry) = Registry::start().await else { return };
    let World { database, plugins, folder, cache } = world().await;
    let (key, other) = (Key::new(Algorithm::EcdsaP256), Key::new(Algorithm::EcdsaP256));
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let (key_file, other_file) = (write("release.key", key.pem()), write("other.key", other.pem()));
    let (reference, code) = (registry.reference("echo:live"), cache.path().join("code"));
    let ((one_file, one), (two_file, two)) = (component(folder.path(), 1), component(folder.path(), 2));
    plugins.write("pgq-host.toml", trust("", &[("release", &key)]));
    ok(&["push", &one_file, &reference, "--key", &key_file]).await;
    let first = host(&database, &plugins, &reference, &code, &[]);
    announced(&database, "the first version", |file| serves(&one)(file) && file["signed_by"][0] == "release").await;

    let refused = |cause: &'static str| {
        let digest = sha256(&one);
        move |file: &Value| {
            file["sha256"] == digest.as_str() && file["error"].as_str().is_some_and(|error| error.contains(cause))
        }
    };
    ok(&["push", &two_file, &reference]).await;
    announced(&database, "nobody signed it", refused("it is not signed")).await;
    ok(&["push", &two_file, &reference, "--key", &other_file]).await;
    announced(&database, "a stranger signed it", refused("by none of the keys")).await;
    echo(&database).await;
    ok(&["push", &two_file, &reference, "--key", &key_file]).await;
    announced(&database, "the second version", serves(&two)).await;
    first.stop().await;

    // The lock holds the tag where it is, also when it moves back to what is signed as well.
    let lock = folder.path().join("pgq-host.lock");
    let lock = lock.to_str().expect("text");
    let locked = ["--locked", "--lock-file", lock];
    let mut missing = host(&database, &plugins, &reference, &code, &locked);
    assert!(!missing.ended().await.success());
    assert!(missing.log().contains("plugin lock"), "{}", missing.log());
    ok(&["lock", "--plugins", &reference, "--lock-file", lock]).await;
    ok(&["push", &one_file, &reference, "--key", &key_file]).await;
    let held = host(&database, &plugins, &reference, &code, &locked);
    announced(&database, "the version of the lock", serves(&two)).await;
    held.stop().await;
    let free = host(&database, &plugins, &reference, &code, &[]);
    announced(&database, "the version of the tag", serves(&one)).await;
    free.stop().await;
}

#[tokio::test]
async fn a_registry_elsewhere_is_asked_over_tls_alone_and_its_certificate_is_checked() {
    let World { folder, .. } = world().await;
    let (file, bytes) = component(folder.path(), 1);
    let Some(registry) = Registry::with_tls().await else { return };
    let (reference, out) = (registry.reference("echo:1"), folder.path().join("out"));
    let run = async |args: &[&str], authority: Option<&Path>| {
        let mut command = pgq_host("postgresql://unused");
        command.arg("plugin").args(args).env("DOCKER_CONFIG", "/nonexistent").current_dir(std::env::temp_dir());
        command.env("PGQ_HOST_CACHE_DIR", std::env::temp_dir().join("pgq-host-tests-pushed"));
        if let Some(authority) = authority {
            command.env("SSL_CERT_FILE", authority);
        }
        run_command(command).await
    };
    let said = run(&["push", &file, &reference], None).await;
    assert!(said.code == 1 && said.stderr.contains("certificate"), "{said:?}");
    let authority = registry.authority();
    let said = run(&["push", &file, &reference], Some(&authority)).await;
    assert_eq!(said.code, 0, "{said:?}");
    let pull = ["pull", &reference, "--out", out.to_str().expect("text")];
    let said = run(&pull, Some(&authority)).await;
    assert_eq!((said.code, std::fs::read(out.join("echo.wasm")).expect("pulled")), (0, bytes), "{}", said.stderr);
    // Plain HTTP is asked for only where somebody says so, and then it is no answer of this one.
    let said = run(&[&pull[..], &["--insecure-registry", &registry.address()]].concat(), Some(&authority)).await;
    assert_eq!(said.code, 1, "{said:?}");
}
