//! The WebAssembly ecosystem's own tool for registries, `wkg`: it reads what `plugin push` pushed, and
//! hosts run what it pushed. `make registry-interop` builds it and names it in `PGQ_WKG`.

use std::path::Path;
use std::process::Output;

use pgq_host_tests::{Database, Host, Plugins, Registry, guest, host_binary, pgq_host, run_command};
use tokio::process::Command;

/// Run `wkg oci` with these arguments against this registry. `None`, with a message, where it is not.
async fn wkg(registry: &Registry, args: &[&str]) -> Option<Output> {
    let Some(binary) = std::env::var_os("PGQ_WKG") else {
        eprintln!("SKIPPED: PGQ_WKG names no wkg (`make registry-interop` builds it), so nobody else read or wrote");
        return None;
    };
    let mut command = Command::new(binary);
    command.arg("oci").args(args).args(["--insecure", &registry.address()]);
    // Nothing of this user's.
    command.env("HOME", "/nonexistent").env("DOCKER_CONFIG", "/nonexistent");
    Some(command.output().await.expect("it starts"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("text")
}

#[tokio::test]
async fn what_is_pushed_is_what_wkg_pulls() {
    let Some(registry) = Registry::start().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (component, out) = (guest("hello"), folder.path().join("pulled.wasm"));
    let reference = registry.reference("team/hello:1.0");
    let mut push = pgq_host("postgresql://unused");
    push.args(["plugin", "push"]).arg(&component).arg(&reference).env("DOCKER_CONFIG", "/nonexistent");
    assert_eq!(run_command(push).await.code, 0);
    let plain = reference.trim_start_matches("oci://");
    let Some(pulled) = wkg(&registry, &["pull", plain, "--output", text(&out)]).await else { return };
    assert!(pulled.status.success(), "{pulled:?}");
    assert_eq!(std::fs::read(&out).expect("pulled"), std::fs::read(&component).expect("read"));
}

#[tokio::test]
async fn what_wkg_pushes_is_run_and_pulled() {
    let Some(registry) = Registry::start().await else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (component, out) = (guest("hello"), folder.path().join("out"));
    let plain = format!("{}/team/hello:2.0", registry.address());
    let annotation = "org.opencontainers.image.source=https://example.com/hello";
    let args = ["push", &plain, text(&component), "--annotation", annotation];
    let Some(pushed) = wkg(&registry, &args).await else { return };
    assert!(pushed.status.success(), "{pushed:?}");
    let reference = format!("oci://{plain}");
    let mut pull = pgq_host("postgresql://unused");
    pull.args(["plugin", "pull", &reference, "--out"]).arg(&out).env("DOCKER_CONFIG", "/nonexistent");
    pull.env("PGQ_HOST_CACHE_DIR", folder.path().join("pulled"));
    let said = run_command(pull).await;
    assert_eq!(said.code, 0, "{said:?}");
    assert_eq!(std::fs::read(out.join("hello.wasm")).expect("pulled"), std::fs::read(&component).expect("read"));

    let (database, plugins) = (Database::new().await, Plugins::with(&[]));
    let mut run = Command::new(host_binary());
    run.args(["run", "--plugins", &reference, "--cache-dir"]).arg(folder.path().join("code"));
    run.env("PGDSN", database.dsn()).env("PGQ_HOST_CONFIG", plugins.config()).env("DOCKER_CONFIG", "/nonexistent");
    let host = Host::launch(run);
    host.wait_for_log("plugin loaded").await;
    let id = database.enqueue("hello", r#"{"name": "wkg"}"#).await;
    database.wait_for(id, "successful").await;
    assert_eq!(database.output(id).await.as_deref(), Some("Hello, wkg!"));
    host.stop().await;
}
