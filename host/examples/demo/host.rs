//! The host, started as users start it: `pgq-host dev`, in its own process.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, Command};

use crate::folder::Folder;

const PLUGINS: [&str; 5] = ["hello", "webhook", "thumbnail", "report", "stock"];
/// Creating a database takes seconds. Downloading PostgreSQL takes longer.
const START: Duration = Duration::from_secs(300);
/// Longer than the host's own drain timeout.
const STOP: Duration = Duration::from_secs(45);
const TAIL: usize = 15;

/// The process is killed when this is dropped.
pub(crate) struct Host {
    child: Child,
    log: PathBuf,
}

impl Host {
    pub(crate) fn start(binary: &Path, plugins: &Path, folder: &Folder) -> anyhow::Result<Host> {
        for plugin in PLUGINS {
            let file = plugins.join(plugin).with_extension("wasm");
            if !file.is_file() {
                bail!(
                    "{} is missing; plugins-example/README.md says how to build it, or run `make demo`",
                    file.display()
                );
            }
        }
        let mut command = Command::new(binary);
        command
            .arg("dev")
            .arg("--plugins")
            .arg(plugins)
            .arg("--config")
            .arg(folder.config())
            .arg("--data-dir")
            .arg(folder.database());
        // Variables set for a deployment must not affect a demo.
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            let ours = text.starts_with("PGQ_HOST_") && !matches!(&*text, "PGQ_HOST_PG_BIN" | "PGQ_HOST_CACHE_DIR");
            if ours || text.starts_with("PGQUEUER_") || text == "RUST_LOG" {
                command.env_remove(name);
            }
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(folder.log_file()?).kill_on_drop(true);
        // In its own process group, so that Ctrl-C reaches only the demo, which then stops the host
        // properly.
        command.process_group(0);
        die_with_us(&mut command);
        let child = command.spawn().with_context(|| {
            format!("cannot start {}; build it with `cargo build --release -p pgq-host`", binary.display())
        })?;
        let host = Host { child, log: folder.log() };
        eprintln!("starting {} dev; its log is {}", binary.display(), host.log.display());
        Ok(host)
    }

    /// Wait until it claims jobs. Returns the address of its database.
    pub(crate) async fn ready(&mut self, folder: &Folder) -> anyhow::Result<String> {
        let ready = async {
            loop {
                let log = std::fs::read_to_string(&self.log).unwrap_or_default();
                if let Some(refused) = log.lines().find(|line| line.contains("plugin refused")) {
                    bail!("{refused}");
                }
                if log.contains(" ready ") {
                    return std::fs::read_to_string(folder.dsn()).context("the host is ready, but wrote no DSN");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let dsn = tokio::select! {
            dsn = tokio::time::timeout(START, ready) => dsn.with_context(|| format!("the host did not become ready; {}", tail(&self.log)))??,
            status = self.child.wait() => bail!("the host ended with {}; {}", status?, tail(&self.log)),
        };
        Ok(dsn.trim().to_owned())
    }

    /// Resolves if it ends unexpectedly.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow!("the host ended with {status}; {}", self.log_tail()),
            Err(error) => error.into(),
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        tail(&self.log)
    }

    /// Send SIGTERM, as systemd and Kubernetes do. Any exit code but 0 is an error.
    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        if let Some(pid) = self.child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            rustix::process::kill_process(pid, Signal::TERM).context("cannot stop the host")?;
        }
        let Ok(status) = tokio::time::timeout(STOP, self.child.wait()).await else {
            bail!("the host did not stop within {} s and was killed; {}", STOP.as_secs(), self.log_tail());
        };
        match status? {
            status if status.success() => Ok(()),
            status => bail!("the host ended with {status} after SIGTERM; {}", self.log_tail()),
        }
    }
}

fn tail(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    format!("its log {} ends with:\n{}", log.display(), lines[lines.len().saturating_sub(TAIL)..].join("\n"))
}

/// Have the kernel stop the host if the demo is killed. The host then stops its database.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std has no other hook between fork and exec")]
fn die_with_us(command: &mut Command) {
    let hook = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::TERM))?);
    // SAFETY: the hook makes one system call, and neither allocates nor locks.
    unsafe { command.pre_exec(hook) };
}

#[cfg(not(target_os = "linux"))]
fn die_with_us(_: &mut Command) {}
