//! The running server: spawned so that it cannot outlive us, watched, and stopped.

use std::future::pending;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tokio::sync::{oneshot, watch};

use super::pidfile::{self, Holder};

/// A fast shutdown writes all dirty pages, which can take long on a slow disk.
const FAST_TIMEOUT: Duration = Duration::from_secs(60);

/// An immediate shutdown writes nothing, and the next start recovers.
const IMMEDIATE_TIMEOUT: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_millis(10);

/// A server that we started or took over.
#[derive(Debug)]
pub(super) struct Process {
    pid: i32,
    data: PathBuf,
    /// How our child ended. This is unknown for a server that was taken over.
    ended: Option<watch::Receiver<Option<String>>>,
}

impl Process {
    /// Spawn the server from a dedicated thread that lives as long as the server, because the
    /// kernel's "signal me when my parent dies" refers to the parent's thread.
    pub(super) async fn spawn(mut command: Command, data: &Path) -> std::io::Result<Self> {
        let (spawned, pid) = oneshot::channel();
        let (ending, ended) = watch::channel(None);
        let watcher = move || {
            let mut child = match command.spawn() {
                Ok(child) => child,
                Err(error) => {
                    // If nobody waits for it any more, nobody needs to know.
                    let _ = spawned.send(Err(error));
                    return;
                }
            };
            // Otherwise our end of the log would stay open.
            drop(command);
            let pid = i32::try_from(child.id()).unwrap_or_default();
            if spawned.send(Ok(pid)).is_err() {
                pidfile::signal(pid, Signal::INT);
            }
            let how = child.wait().map_or_else(|error| error.to_string(), |status| status.to_string());
            ending.send_replace(Some(how));
        };
        std::thread::Builder::new().name("embedded-postgres".into()).spawn(watcher)?;
        let pid = pid.await.map_err(std::io::Error::other)??;
        Ok(Self { pid, data: data.to_owned(), ended: Some(ended) })
    }

    pub(super) fn adopt(pid: i32, data: &Path) -> Self {
        Self { pid, data: data.to_owned(), ended: None }
    }

    pub(super) fn pid(&self) -> i32 {
        self.pid
    }

    pub(super) fn is_adopted(&self) -> bool {
        self.ended.is_none()
    }

    /// Wait for the server to end, for whatever reason. Returns how it ended.
    pub(super) async fn ended(&self) -> String {
        let Some(mut ended) = self.ended.clone() else {
            while self.is_running() {
                tokio::time::sleep(POLL).await;
            }
            return "ended".into();
        };
        let how = match ended.wait_for(Option::is_some).await {
            Ok(how) => how.clone(),
            // The watcher always sends before it ends.
            Err(_) => pending().await,
        };
        how.unwrap_or_default()
    }

    /// Fast shutdown: closes open connections and keeps everything that was committed. Returns
    /// `false` if the server had to be killed.
    pub(super) async fn stop(&self) -> bool {
        for (signal, patience) in [(Signal::INT, FAST_TIMEOUT), (Signal::QUIT, IMMEDIATE_TIMEOUT)] {
            self.signal(signal);
            if tokio::time::timeout(patience, self.ended()).await.is_ok() {
                return true;
            }
        }
        self.signal(Signal::KILL);
        self.ended().await;
        false
    }

    fn signal(&self, signal: Signal) {
        if self.is_running() {
            pidfile::signal(self.pid, signal);
        }
    }

    /// Once a server has ended, its id may belong to another process.
    fn is_running(&self) -> bool {
        match &self.ended {
            Some(ended) => ended.borrow().is_none(),
            None => pidfile::holder(self.pid, &self.data) == Holder::Server,
        }
    }
}

/// If a start failed or was cancelled, or the owner cannot wait, the server is told to stop and
/// ends by itself.
impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::INT);
    }
}
