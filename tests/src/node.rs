//! Node, with the packages that docs/examples need, if it is installed.

use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The folder with `node_modules`, created by `make test`. `None`, with a message, on a machine
/// without Node.
pub fn node() -> Option<PathBuf> {
    let there = |program: &str| {
        Command::new(program).arg("--version").stdout(Stdio::null()).status().is_ok_and(|status| status.success())
    };
    if !there("node") || !there("npm") {
        eprintln!("SKIPPED: node or npm is missing, so the Node examples of docs/producers.md were not run");
        return None;
    }
    let test = std::env::current_exe().expect("this test");
    let folder = test.ancestors().nth(3).expect("a target folder").join("node");
    assert!(
        folder.join("node_modules/pg").is_dir(),
        "{} has no node_modules/pg: run `make test` or `make node`",
        folder.display()
    );
    Some(folder)
}
