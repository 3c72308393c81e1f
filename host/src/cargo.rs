//! Runs cargo to build components: what it built, or why it could not.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::child::Group;

/// The target that components are built for.
const TARGET: &str = "wasm32-wasip2";

/// One build of a crate or a workspace. Dropping its future kills cargo and its compilers.
#[derive(Debug, Clone, Copy)]
pub struct Build<'a> {
    pub folder: &'a Path,
    /// Optimized, or built in less time.
    pub release: bool,
    /// Show errors and warnings only.
    pub quiet: bool,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error(
        "cargo cannot be started: {0}; install Rust with rustup (https://rustup.rs), and check that cargo is on the PATH"
    )]
    NoCargo(io::Error),
    /// Cargo is installed, but no working compiler.
    #[error("rustc does not work in {}: {cause}; install Rust with rustup (https://rustup.rs)", folder.display())]
    NoCompiler { folder: PathBuf, cause: String },
    /// The most common problem. The compiler's own message only says that it cannot find `core`.
    #[error("the target {TARGET} is not installed for the Rust that builds {}; run `rustup target add {TARGET}` there", .0.display())]
    NoTarget(PathBuf),
    /// A mistake in the code. Cargo's messages say which.
    #[error("cargo could not build {}: its messages are above", .0.display())]
    Failed(PathBuf),
    /// The crate has no `cdylib`.
    #[error("{} builds no component; a plugin's Cargo.toml needs crate-type = [\"cdylib\"] under [lib]", .0.display())]
    NoComponent(PathBuf),
}

/// The relevant parts of a line of cargo's `--message-format=json`.
#[derive(Deserialize)]
struct Message {
    #[serde(default)]
    target: MessageTarget,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize, Default)]
struct MessageTarget {
    kind: Vec<String>,
}

impl Build<'_> {
    /// Build, and return the paths of the components. Cargo's messages go to stderr as they come.
    ///
    /// # Errors
    ///
    /// Fails if cargo cannot be started, if the build fails, or if it produces no component.
    pub async fn run(self) -> Result<Vec<PathBuf>, BuildError> {
        let mut command = Command::new("cargo");
        command
            .args(["build", "--target", TARGET, "--message-format=json-render-diagnostics"])
            .current_dir(self.folder);
        command.args(self.release.then_some("--release")).args(self.quiet.then_some("--quiet"));
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut cargo = Group::spawn(&mut command).map_err(BuildError::NoCargo)?;
        let mut components = Vec::new();
        if let Some(stdout) = cargo.stdout() {
            let mut lines = BufReader::new(stdout).lines();
            while let Some(line) = lines.next_line().await.map_err(BuildError::NoCargo)? {
                components.extend(components_of(&line));
            }
        }
        if !cargo.wait().await.map_err(BuildError::NoCargo)?.success() {
            return Err(self.diagnose().await);
        }
        if components.is_empty() { Err(BuildError::NoComponent(self.folder.to_owned())) } else { Ok(components) }
    }

    /// Find the cause of a failure. Only runs after one, so that a successful build is not delayed.
    async fn diagnose(self) -> BuildError {
        let folder = self.folder.to_owned();
        let mut rustc = Command::new("rustc");
        rustc
            .args(["--print", "target-libdir", "--target", TARGET])
            .current_dir(self.folder)
            .stdin(Stdio::null())
            .kill_on_drop(true);
        let said = match rustc.output().await {
            Ok(said) => said,
            Err(error) => return BuildError::NoCompiler { folder, cause: error.to_string() },
        };
        if !said.status.success() {
            let said = String::from_utf8_lossy(&said.stderr);
            let cause = said.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or(said.trim()).to_owned();
            return BuildError::NoCompiler { folder, cause };
        }
        let libraries = PathBuf::from(String::from_utf8_lossy(&said.stdout).trim());
        if libraries.is_dir() { BuildError::Failed(folder) } else { BuildError::NoTarget(folder) }
    }
}

fn components_of(line: &str) -> Vec<PathBuf> {
    let Ok(message) = serde_json::from_str::<Message>(line) else { return Vec::new() };
    if !message.target.kind.iter().any(|kind| kind == "cdylib") {
        return Vec::new();
    }
    // Components of dependencies stay in `deps`; those of the crates that were asked for are beside
    // it.
    let asked_for = |path: &PathBuf| {
        path.extension().is_some_and(|e| e == "wasm") && !path.parent().is_some_and(|p| p.ends_with("deps"))
    };
    message.filenames.into_iter().filter(asked_for).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn components_are_those_that_were_asked_for() {
        let artifact = |kind: &str, file: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"x"}},"filenames":["{file}"],"fresh":false}}"#
            )
        };
        assert_eq!(components_of(&artifact("cdylib", "/t/release/x.wasm")), [PathBuf::from("/t/release/x.wasm")]);
        for other in [
            artifact("cdylib", "/t/release/deps/y-0123.wasm"),
            artifact("bin", "/t/release/x.wasm"),
            artifact("lib", "/t/release/deps/libx.rlib"),
            r#"{"reason":"build-finished","success":true}"#.into(),
            "Compiling".into(),
        ] {
            assert!(components_of(&other).is_empty(), "{other}");
        }
    }
}
