//! Commands of the binary, and their output.

use serde_json::Value;
use tokio::process::Command;

use crate::{Database, host_binary};

/// Variables that would change what a command does.
const NOT_OURS: [&str; 6] =
    ["PGQUEUER_DSN", "PGQUEUER_SCHEMA", "PGQUEUER_PREFIX", "PGSERVICE", "PGSSLMODE", "RUST_LOG"];

/// The result of a command.
#[derive(Debug)]
pub struct CliOutput {
    /// The exit code.
    pub code: i32,
    /// The data on stdout.
    pub stdout: String,
    /// The status messages on stderr.
    pub stderr: String,
}

impl CliOutput {
    /// The data, parsed as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A `pgq-host` command on this database.
pub fn pgq_host(dsn: &str) -> Command {
    let mut command = Command::new(host_binary());
    NOT_OURS.iter().for_each(|name| {
        command.env_remove(name);
    });
    command.env("PGDSN", dsn).kill_on_drop(true);
    command
}

/// Run a command until it ends.
pub async fn run_command(mut command: Command) -> CliOutput {
    let output = command.output().await.expect("it starts");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    CliOutput { code: output.status.code().unwrap_or(-1), stdout: text(output.stdout), stderr: text(output.stderr) }
}

impl Database {
    /// Run `pgq-host` with these arguments.
    pub async fn run_cli(&self, args: &[&str]) -> CliOutput {
        let mut command = pgq_host(&self.dsn());
        command.args(args);
        run_command(command).await
    }

    /// The same, but panic if it fails.
    pub async fn cli_ok(&self, args: &[&str]) -> CliOutput {
        let said = self.run_cli(args).await;
        assert_eq!(said.code, 0, "{args:?}: {said:?}");
        said
    }
}
