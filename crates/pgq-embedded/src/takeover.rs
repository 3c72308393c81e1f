//! What an earlier run left running: taken over when it serves, waited for when it stops, cleared
//! away when it is only a file.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::error::EmbeddedError;
use super::folder::Folder;
use super::pidfile::{self, Holder, PidFile, Status};
use super::process::Process;
use super::session;

/// A fast shutdown, or a recovery, that the previous run began.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long a process that holds the lock no longer may take to be gone.
const LAST_BREATH: Duration = Duration::from_secs(1);

const POLL: Duration = Duration::from_millis(10);

/// The running server of this folder with its port, if there is one that serves. `password` is the
/// kept one, if it is known to it.
pub(super) async fn find(
    folder: &Folder,
    password: Option<&str>,
    wanted_port: Option<u16>,
) -> Result<Option<(Process, u16)>, EmbeddedError> {
    let data = folder.data();
    let deadline = Instant::now() + PATIENCE;
    let (mut waited, mut told_to_stop) = (false, false);
    while let Some(file) = PidFile::read(&data) {
        match pidfile::holder(file.pid, &data) {
            // The server itself clears such a file, after it has looked for the dead one's
            // children.
            Holder::Nobody => return Ok(None),
            // The server would take this process for another server, and refuse.
            Holder::Stranger => {
                let path = data.join(pidfile::NAME);
                std::fs::remove_file(&path).map_err(EmbeddedError::io("remove the stale", &path))?;
                return Ok(None);
            }
            Holder::Server => {}
        }
        if !waited {
            wait_for_last_breath(folder).await;
            waited = true;
            continue;
        }
        let port = file.port.filter(|port| wanted_port.is_none_or(|wanted| wanted == *port || wanted == 0));
        match (file.status, port, password) {
            (Status::Ready, Some(port), Some(password)) if !told_to_stop => {
                // Told to stop, it would not have answered: see `wait_for_last_breath`.
                match session::greet(port, password, folder).await {
                    Ok(true) => return Ok(Some((Process::adopt(file.pid, &data), port))),
                    Ok(false) => {}
                    Err(EmbeddedError::Password { .. }) => told_to_stop = stop(file.pid),
                    Err(error) => return Err(error),
                }
            }
            // It serves on another port than wanted, or with a password that is lost: it has to
            // start anew.
            (Status::Ready, ..) if !told_to_stop => told_to_stop = stop(file.pid),
            _ => {}
        }
        if Instant::now() > deadline {
            let state = format!("{:?}", file.status).to_lowercase();
            let state = format!("is {state}, and did not answer within {} s", PATIENCE.as_secs());
            return Err(EmbeddedError::Stuck { data, pid: file.pid, state });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

/// A killed process gives up its lock a moment before the kernel tells its server to stop, and a
/// server found "ready" in this moment is about to go. Once the process is gone the server has been
/// told, and it heeds that before it accepts a connection.
async fn wait_for_last_breath(folder: &Folder) {
    let Some(previous) = folder.previous_holder().filter(|pid| i32::try_from(std::process::id()) != Ok(*pid)) else {
        return;
    };
    let deadline = Instant::now() + LAST_BREATH;
    while pidfile::is_alive(previous) && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
}

fn stop(pid: i32) -> bool {
    pidfile::signal(pid, Signal::INT);
    true
}
