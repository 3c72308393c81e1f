//! Builds the tests' guests and the example plugins from source, so that a test never runs a stale
//! component.

use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned();
    let target = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it")).join("guests");
    for workspace in ["tests/guests", "plugins-example"] {
        build(&root.join(workspace), &target);
        println!("cargo::rerun-if-changed={}", root.join(workspace).display());
    }
    for source in ["plugin-sdk/src", "plugin-sdk/Cargo.toml", "wit"] {
        println!("cargo::rerun-if-changed={}", root.join(source).display());
    }
    println!("cargo::rustc-env=PGQ_TEST_GUESTS={}", target.join("wasm32-wasip2/release").display());
}

fn build(workspace: &Path, target: &Path) {
    let mut cargo = Command::new(std::env::var_os("CARGO").expect("cargo sets it"));
    cargo
        .args(["build", "--release", "--locked", "--target", "wasm32-wasip2", "--target-dir"])
        .arg(target)
        .current_dir(workspace);
    // Variables that cargo sets for this native build must not reach the guests' build.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        let native = [
            "CARGO_ENCODED_RUSTFLAGS",
            "RUSTFLAGS",
            "CARGO_MAKEFLAGS",
            "MAKEFLAGS",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTC_WRAPPER",
            "TARGET",
            "HOST",
        ];
        if native.contains(&&*name_text)
            || name_text.starts_with("CARGO_CFG_")
            || name_text.starts_with("CARGO_FEATURE_")
        {
            cargo.env_remove(&name);
        }
    }
    let status = cargo.status().expect("cargo starts");
    assert!(
        status.success(),
        "the guests in {} do not build; is the target there? (rustup target add wasm32-wasip2)",
        workspace.display()
    );
}
