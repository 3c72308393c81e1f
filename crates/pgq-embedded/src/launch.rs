//! Starts a server on a prepared cluster: settings, port, and the wait until it answers.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::Folder;
use super::log;
use super::pidfile::{PidFile, Status};
use super::process::Process;
use super::session;
use super::user::ServerUser;

/// Settings for a private database on a developer's machine. The caller's settings come later and
/// take precedence.
const DEFAULTS: [(&str, &str); 15] = [
    ("jit", "off"), // costs short statements more than it saves
    ("max_connections", "100"),
    ("shared_buffers", "128MB"),
    ("wal_level", "minimal"), // there are no replicas
    ("max_wal_senders", "0"),
    ("max_logical_replication_workers", "0"),
    ("max_wal_size", "512MB"),
    ("password_encryption", "scram-sha-256"),
    ("ssl", "off"), // loopback only
    ("unix_socket_permissions", "0700"),
    ("log_destination", "stderr"), // stderr is our file, whose size we limit
    ("logging_collector", "off"),
    ("log_checkpoints", "off"),
    ("log_line_prefix", "%m [%p] "),
    ("lc_messages", "C"), // we search for some of its messages
];

/// Recovery after a crash replays at most `max_wal_size`.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// How long the child processes of a killed server may take to notice.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(15);

const POLL: Duration = Duration::from_millis(10);

/// How many free ports may be taken by others, right before we use them, before we give up.
const PORTS_TRIED: u32 = 5;

/// Start the server, and wait until it accepts the role and the password. Returns it with its port.
pub(super) async fn launch(
    folder: &Folder,
    user: &ServerUser,
    binaries: &Binaries,
    password: &str,
    wanted_port: Option<u16>,
    settings: &[(String, String)],
) -> Result<(Process, u16), EmbeddedError> {
    let begun = Instant::now();
    let mut tried = 0;
    loop {
        let port = choose_port(wanted_port, folder.last_port().filter(|_| tried == 0))?;
        let (process, begin) = spawn(folder, user, binaries, port, settings).await?;
        let data = folder.data();
        let status = tokio::select! {
            biased;
            status = process.ended() => status,
            ready = wait_until_ready(&process, &data) => {
                let greeted = if ready { session::is_ready(port, password, folder).await } else { Ok(false) };
                if let Ok(true) = greeted {
                    return Ok((process, port));
                }
                process.stop().await;
                greeted?;
                format!("no answer within {} s", START_TIMEOUT.as_secs())
            }
        };
        let tail = log::tail(&folder.log(), begin);
        if tail.contains("Address already in use") {
            tried += 1;
            match wanted_port {
                Some(port) => return Err(EmbeddedError::PortTaken { port }),
                None if tried < PORTS_TRIED => continue,
                None => {}
            }
        }
        // Children of a killed server, which hold its shared memory until they notice.
        if tail.contains("pre-existing shared memory block") && begun.elapsed() < ORPHAN_TIMEOUT {
            tokio::time::sleep(POLL * 5).await;
            continue;
        }
        return Err(EmbeddedError::Start { data: folder.data(), status, log: folder.log(), tail });
    }
}

async fn spawn(
    folder: &Folder,
    user: &ServerUser,
    binaries: &Binaries,
    port: u16,
    settings: &[(String, String)],
) -> Result<(Process, u64), EmbeddedError> {
    let (log, begin) = log::open(&folder.log())?;
    let also = log.try_clone().map_err(EmbeddedError::io("open", &folder.log()))?;
    let data = folder.data();
    // SIGINT is a fast shutdown: the data is safe, and the next start needs no recovery.
    let mut postgres = user.command(&binaries.dir.join("postgres"), &data, Signal::INT);
    postgres.stdout(log).stderr(also).stdin(Stdio::null()).arg("-D").arg(&data);
    let callers = settings.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let (port, sockets) = (port.to_string(), folder.socket_folder());
    // At the end, because the last value counts: callers must not change where it listens.
    let fixed = [("port", port.as_str()), ("listen_addresses", "127.0.0.1"), ("unix_socket_directories", &sockets)];
    for (name, value) in DEFAULTS.into_iter().chain(callers).chain(fixed) {
        postgres.arg("-c").arg(format!("{name}={value}"));
    }
    let process = Process::spawn(postgres, &data).await.map_err(EmbeddedError::io("run postgres in", &binaries.dir))?;
    Ok((process, begin))
}

/// The server records its state in its pid file. Trying to connect would fill its log with errors.
async fn wait_until_ready(process: &Process, data: &Path) -> bool {
    let deadline = Instant::now() + START_TIMEOUT;
    while Instant::now() < deadline {
        match PidFile::read(data) {
            Some(file) if file.pid == process.pid() && file.status == Status::Ready => return true,
            _ => tokio::time::sleep(POLL).await,
        }
    }
    false
}

/// The requested port, or else that of the last run, or else any free port.
fn choose_port(wanted: Option<u16>, last: Option<u16>) -> Result<u16, EmbeddedError> {
    let free = |port| Some(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()?.local_addr().ok()?.port());
    match wanted {
        Some(port) if port != 0 => free(port).ok_or(EmbeddedError::PortTaken { port }),
        _ => last.and_then(free).or_else(|| free(0)).ok_or(EmbeddedError::PortTaken { port: 0 }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_taken_port_is_refused_when_asked_for_and_avoided_when_not() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
        let port = taken.local_addr().expect("an address").port();
        assert!(choose_port(Some(port), None).is_err_and(|e| e.to_string().contains(&port.to_string())));
        assert_ne!(choose_port(None, Some(port)).expect("another port"), port);
        drop(taken);
        assert_eq!(choose_port(Some(port), None).expect("free again"), port);
    }
}
