//! Deals with a server that an earlier run left behind: takes it over if it is ready, waits if it
//! is stopping, and removes its pid file if that is all that is left.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::error::EmbeddedError;
use super::folder::Folder;
use super::pidfile::{self, Holder, PidFile, Status};
use super::process::Process;
use super::session;

/// For a fast shutdown, or a recovery, that the previous run started.
const TAKEOVER_TIMEOUT: Duration = Duration::from_secs(60);

/// How long a process may take to end after it has released the lock.
const HOLDER_EXIT_TIMEOUT: Duration = Duration::from_secs(1);

const POLL: Duration = Duration::from_millis(10);

/// The running server of this folder and its port, if there is one that is ready. `password` is the
/// stored one, if the server knows it.
pub(super) async fn find(
    folder: &Folder,
    password: Option<&str>,
    wanted_port: Option<u16>,
) -> Result<Option<(Process, u16)>, EmbeddedError> {
    let data = folder.data();
    let deadline = Instant::now() + TAKEOVER_TIMEOUT;
    let (mut waited, mut told_to_stop) = (false, false);
    while let Some(file) = PidFile::read(&data) {
        match pidfile::holder(file.pid, &data) {
            // The server itself removes such a file, after checking for children of the dead
            // server.
            Holder::Nobody => return Ok(None),
            // The server would take this process for another server, and refuse to start.
            Holder::Stranger => {
                let path = data.join(pidfile::NAME);
                std::fs::remove_file(&path).map_err(EmbeddedError::io("remove the stale", &path))?;
                return Ok(None);
            }
            Holder::Server => {}
        }
        if !waited {
            wait_for_previous_holder(folder).await;
            waited = true;
            continue;
        }
        let port = file.port.filter(|port| wanted_port.is_none_or(|wanted| wanted == *port || wanted == 0));
        match (file.status, port, password) {
            (Status::Ready, Some(port), Some(password)) if !told_to_stop => {
                // If it had been told to stop, it would not have answered: see
                // `wait_for_previous_holder`.
                match session::is_ready(port, password, folder).await {
                    Ok(true) => return Ok(Some((Process::adopt(file.pid, &data), port))),
                    Ok(false) => {}
                    Err(EmbeddedError::Password { .. }) => told_to_stop = stop(file.pid),
                    Err(error) => return Err(error),
                }
            }
            // It listens on another port than requested, or its password is lost, so it has to be
            // restarted.
            (Status::Ready, ..) if !told_to_stop => told_to_stop = stop(file.pid),
            _ => {}
        }
        if Instant::now() > deadline {
            let state = format!("{:?}", file.status).to_lowercase();
            let state = format!("is {state}, and did not answer within {} s", TAKEOVER_TIMEOUT.as_secs());
            return Err(EmbeddedError::Stuck { data, pid: file.pid, state });
        }
        tokio::time::sleep(POLL).await;
    }
    Ok(None)
}

/// A killed process releases its lock a moment before the kernel tells its server to stop, so a
/// server that is "ready" at that moment is about to end. Once the process is gone, the server has
/// been told, and it reacts before it accepts another connection.
async fn wait_for_previous_holder(folder: &Folder) {
    let Some(previous) = folder.previous_holder().filter(|pid| i32::try_from(std::process::id()) != Ok(*pid)) else {
        return;
    };
    let deadline = Instant::now() + HOLDER_EXIT_TIMEOUT;
    while pidfile::is_alive(previous) && Instant::now() < deadline {
        tokio::time::sleep(POLL).await;
    }
}

fn stop(pid: i32) -> bool {
    pidfile::signal(pid, Signal::INT);
    true
}
