//! The hosts being measured. They are processes of the running binary, so that their CPU time can
//! be told from ours.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use super::cpu;
use super::environment::Environment;
use super::settings::Handler;

/// A hidden verb: `run`, tied to the life of its parent process.
pub const WORKER_VERB: &str = "bench-worker";

/// Longer than a host's own drain timeout.
const STOP: Duration = Duration::from_secs(40);
const TAIL: usize = 15;
/// Variables that PgQueuer reads without its prefix.
const BARE: [&str; 7] = [
    "CHANNEL",
    "QUEUE_TABLE",
    "QUEUE_TABLE_LOG",
    "STATISTICS_TABLE",
    "SCHEDULES_TABLE",
    "QUEUE_STATUS_TYPE",
    "FUNCTION",
];

/// How to start a host.
pub(super) struct Start<'a> {
    pub(super) environment: &'a Environment,
    pub(super) binary: &'a Path,
    pub(super) handler: &'a Handler,
    /// What the configuration of hosts with the built-in plugin says.
    pub(super) config: &'a str,
    /// The user's arguments for them.
    pub(super) arguments: &'a [OsString],
    /// Where the built-in plugin is.
    pub(super) plugins: PathBuf,
}

/// The processes are killed when this is dropped.
pub(super) struct Workers(Vec<Worker>);

struct Worker {
    child: Child,
    log: PathBuf,
}

impl Start<'_> {
    pub(super) fn workers(&self, count: usize) -> anyhow::Result<Workers> {
        (0..count).map(|number| self.worker(number)).collect::<anyhow::Result<_>>().map(Workers)
    }

    fn worker(&self, number: usize) -> anyhow::Result<Worker> {
        let folder = self.environment.folder();
        let log = folder.join(format!("host-{number}.log"));
        let mut command = Command::new(self.binary);
        command.args([
            WORKER_VERB,
            "--schema",
            self.environment.schema(),
            "--prefix",
            &self.environment.prefix(),
            "--log-level",
            "WARNING",
        ]);
        // Aggregating the log is measured separately.
        command.args(["--log-aggregation-interval", "0"]);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = text.starts_with("PGQ_HOST_") && !matches!(&*text, "PGQ_HOST_CONFIG" | "PGQ_HOST_CACHE_DIR");
            if ours
                || (text.starts_with("PGQUEUER_") && text != "PGQUEUER_DSN")
                || text == "RUST_LOG"
                || BARE.contains(&&*text)
            {
                command.env_remove(name);
            }
        }
        match self.handler {
            Handler::User { plugins, .. } => {
                command.arg("--plugins").arg(plugins);
            }
            Handler::BuiltIn { .. } => {
                let config = folder.join("pgq-host.toml");
                std::fs::write(&config, self.config).with_context(|| format!("cannot write {}", config.display()))?;
                command.arg("--plugins").arg(&self.plugins).arg("--config").arg(config);
                command.arg("--cache-dir").arg(folder.join("code"));
            }
        }
        command.args(self.arguments);
        command.envs(self.environment.variables().iter().map(|(name, value)| (name, value)));
        command.env("PGQUEUER_APPLICATION_NAME", self.environment.schema());
        let file = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).kill_on_drop(true);
        // A Ctrl-C at the terminal must only reach us, who clean up.
        command.process_group(0);
        let child = command.spawn().with_context(|| format!("cannot start {}", self.binary.display()))?;
        Ok(Worker { child, log })
    }
}

impl Workers {
    /// Fails if one of them has ended.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for worker in &mut self.0 {
            if let Some(status) = worker.child.try_wait()? {
                bail!("a host ended with {status}:\n{}", tail(&worker.log));
            }
        }
        Ok(())
    }

    /// The end of their logs, for an error about them.
    pub(super) fn log_tails(&self) -> String {
        self.0.iter().map(|worker| tail(&worker.log)).collect::<Vec<_>>().join("\n")
    }

    /// CPU seconds of all of them together.
    pub(super) fn cpu(&self) -> Option<f64> {
        self.0.iter().map(|worker| cpu::of_family(worker.child.id()?)).sum()
    }

    /// Send SIGTERM, as systemd and Kubernetes do. Fails unless all of them end successfully.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for worker in &self.0 {
            if let Some(pid) = worker.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
                rustix::process::kill_process(pid, Signal::TERM).context("cannot stop a host")?;
            }
        }
        for worker in &mut self.0 {
            let ended = tokio::time::timeout(STOP, worker.child.wait()).await;
            let status = ended.with_context(|| format!("a host did not stop:\n{}", tail(&worker.log)))??;
            if !status.success() {
                bail!("a host ended with {status} after SIGTERM:\n{}", tail(&worker.log));
            }
        }
        Ok(())
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(TAIL)..].join("\n")
}
