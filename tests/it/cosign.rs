//! Signatures that others make as cosign documents them, and others who read ours: an implementation in
//! Python, on OpenSSL (`tests/interop/cosign.py`), and the libraries of the sigstore project for
//! JavaScript. cosign itself is not to be had where these tests run.

use std::path::Path;
use std::process::Output;

use pgq_host_tests::{CliOutput, Registry, guest, pgq_host, python, run_command};
use tokio::process::Command;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/cosign.py");

async fn other(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(python());
    command.arg(SCRIPT).args(args).current_dir(folder);
    command.output().await.expect("it starts")
}

async fn other_ok(folder: &Path, args: &[&str]) -> String {
    let output = other(folder, args).await;
    assert!(output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

async fn plugin(folder: &Path, args: &[&str]) -> CliOutput {
    let mut command = pgq_host("postgresql://unused");
    command.arg("plugin").args(args).env_remove("PGQ_HOST_CONFIG").current_dir(folder);
    command.env("PGQ_HOST_CACHE_DIR", folder.join("cache")).env("DOCKER_CONFIG", "/nonexistent");
    run_command(command).await
}

async fn plugin_ok(folder: &Path, args: &[&str]) -> CliOutput {
    let said = plugin(folder, args).await;
    assert_eq!(said.code, 0, "{args:?}: {said:?}");
    said
}

/// A folder with a component, and a key of each side's own making.
async fn world() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::copy(guest("hello"), folder.path().join("hello.wasm")).expect("copied");
    other_ok(folder.path(), &["key", "theirs"]).await;
    plugin_ok(folder.path(), &["keygen", "ours"]).await;
    folder
}

#[tokio::test]
async fn signatures_of_files_are_read_both_ways() {
    let folder = world().await;
    let at = folder.path();
    for key in ["theirs.key", "ours.key"] {
        let public = key.replace(".key", ".pub");
        let signature = other_ok(at, &["sign-blob", key, "hello.wasm"]).await;
        std::fs::write(at.join("hello.wasm.sig"), signature).expect("written");
        plugin_ok(at, &["verify", "hello.wasm", "--key", &public]).await;
        let bundle = other_ok(at, &["sign-blob-bundle", key, "hello.wasm"]).await;
        std::fs::write(at.join("hello.wasm.sig"), bundle).expect("written");
        plugin_ok(at, &["verify", "hello.wasm", "--key", &public]).await;
        plugin_ok(at, &["sign", "hello.wasm", "--key", key]).await;
        other_ok(at, &["verify-blob", &public, "hello.wasm", "hello.wasm.sig"]).await;
    }
    // Each side refuses what the other key signed.
    assert_eq!(plugin(at, &["verify", "hello.wasm", "--key", "theirs.pub"]).await.code, 1);
    assert!(!other(at, &["verify-blob", "theirs.pub", "hello.wasm", "hello.wasm.sig"]).await.status.success());
}

/// `make registry-interop` installs the packages, and names their folder in `PGQ_SIGSTORE`.
#[tokio::test]
async fn the_libraries_of_sigstore_agree() {
    let Some(packages) = std::env::var("PGQ_SIGSTORE").ok() else {
        eprintln!("SKIPPED: PGQ_SIGSTORE names no folder with sigstore's packages (`make registry-interop` makes it)");
        return;
    };
    let folder = world().await;
    let at = folder.path();
    let sigstore = async |args: &[&str]| {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/interop/sigstore.mjs");
        let mut command = Command::new("node");
        command.args([script, args[0], &packages]).args(&args[1..]).current_dir(at);
        command.output().await.expect("node starts")
    };
    let bundle = sigstore(&["sign", "theirs.key", "hello.wasm"]).await;
    assert!(bundle.status.success(), "{bundle:?}");
    std::fs::write(at.join("hello.wasm.sig"), &bundle.stdout).expect("written");
    plugin_ok(at, &["verify", "hello.wasm", "--key", "theirs.pub"]).await;
    assert_eq!(plugin(at, &["verify", "hello.wasm", "--key", "ours.pub"]).await.code, 1);
    plugin_ok(at, &["sign", "hello.wasm", "--key", "ours.key"]).await;
    let verified = sigstore(&["verify", "ours.pub", "hello.wasm", "hello.wasm.sig"]).await;
    assert!(verified.status.success(), "{verified:?}");
    assert!(!sigstore(&["verify", "theirs.pub", "hello.wasm", "hello.wasm.sig"]).await.status.success());
}

#[tokio::test]
async fn signatures_in_a_registry_are_read_both_ways_and_added_to_each_other() {
    let Some(registry) = Registry::start().await else { return };
    let (folder, address) = (world().await, registry.address());
    let at = folder.path();
    let (reference, place) = (registry.reference("team/hello:1"), [address.as_str(), "team/hello", "1"]);
    let with = |verb: &'static str, key: &'static str| [&[verb, key][..], &place].concat();
    plugin_ok(at, &["push", "hello.wasm", &reference, "--key", "ours.key"]).await;
    let payload = other_ok(at, &with("verify", "ours.pub")).await;
    assert!(payload.contains(&format!(r#""docker-reference":"{address}/team/hello""#)), "{payload}");
    assert!(!other(at, &with("verify", "theirs.pub")).await.status.success(), "it has not signed yet");

    other_ok(at, &with("sign", "theirs.key")).await;
    other_ok(at, &["key", "stranger"]).await;
    plugin_ok(at, &["pull", &reference, "--out", "out"]).await;
    for key in ["theirs.pub", "ours.pub"] {
        plugin_ok(at, &["verify", "out/hello.wasm", "--key", key]).await;
        other_ok(at, &with("verify", key)).await;
    }
    assert_eq!(plugin(at, &["verify", "out/hello.wasm", "--key", "stranger.pub"]).await.code, 1);
}
