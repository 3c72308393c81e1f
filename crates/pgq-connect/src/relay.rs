//! A door for the driver, which knows one server and half of TLS: it comes in here, and what it says
//! goes to the server that was found for it.
//!
//! Each session has a connection of its own, to a socket that has no file (elsewhere than on Linux: in a
//! folder of ours alone) and takes none but this very process. The login is made here; after it, bytes
//! are passed on as they are, both ways, until either side ends.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::endpoint::Endpoint;
use crate::failure::Failure;
use crate::hosts::first;
use crate::message::{send, startup};
use crate::opening::Opening;
use crate::route::Route;
use crate::stream::Stream;

/// The driver makes a file name of a folder and a port.
const PORT: u16 = 5432;
const BUFFER: usize = 16 * 1024;
/// A server that takes nothing for longer than any statement may last is gone.
const STALLED: Duration = Duration::from_secs(120);
const FAREWELL: Duration = Duration::from_secs(1);

/// Takes no more sessions once it is dropped. Those that are open stay so.
#[derive(Debug)]
pub struct Relay {
    folder: PathBuf,
    accepting: JoinHandle<()>,
    #[cfg(not(target_os = "linux"))]
    _folder: tempfile::TempDir,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

impl Relay {
    /// `within`: the time for a session to be open. `arrived` hears at which server each is.
    pub fn start(
        route: Route,
        within: Duration,
        arrived: impl Fn(&Endpoint) + Send + Sync + 'static,
    ) -> io::Result<Relay> {
        let route = Arc::new((route, arrived));
        let accept = |listener: UnixListener| {
            tokio::spawn(async move {
                while let Ok((client, _)) = listener.accept().await {
                    if is_own(&client) {
                        let route = Arc::clone(&route);
                        tokio::spawn(async move { serve(client, &route.0, within, &route.1).await });
                    }
                }
            })
        };
        bound(accept)
    }

    /// The folder of the socket, for the driver.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn port(&self) -> u16 {
        PORT
    }
}

#[cfg(target_os = "linux")]
fn bound(accept: impl FnOnce(UnixListener) -> JoinHandle<()>) -> io::Result<Relay> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixListener as StdListener};

    let mut number = [0; 16];
    getrandom::fill(&mut number).map_err(io::Error::other)?;
    let folder = PathBuf::from(format!("\0pgq-host-{:032x}", u128::from_ne_bytes(number)));
    let socket = folder.join(format!(".s.PGSQL.{PORT}"));
    let name = socket.as_os_str().as_encoded_bytes().get(1..).unwrap_or_default();
    let listener = StdListener::bind_addr(&SocketAddr::from_abstract_name(name)?)?;
    listener.set_nonblocking(true)?;
    Ok(Relay { folder, accepting: accept(UnixListener::from_std(listener)?) })
}

#[cfg(not(target_os = "linux"))]
fn bound(accept: impl FnOnce(UnixListener) -> JoinHandle<()>) -> io::Result<Relay> {
    let folder = tempfile::Builder::new().prefix("pgq-host-").tempdir()?;
    let listener = UnixListener::bind(folder.path().join(format!(".s.PGSQL.{PORT}")))?;
    Ok(Relay { folder: folder.path().to_owned(), accepting: accept(listener), _folder: folder })
}

/// Whether the other end is in this process.
fn is_own(client: &UnixStream) -> bool {
    let Ok(peer) = client.peer_cred() else { return false };
    let pid = peer.pid().and_then(|pid| u32::try_from(pid).ok());
    peer.uid() == rustix::process::geteuid().as_raw() && pid.is_none_or(|pid| pid == std::process::id())
}

async fn serve(mut client: UnixStream, route: &Route, within: Duration, arrived: &(impl Fn(&Endpoint) + Sync)) {
    let opened = timeout(within, open(&mut client, route, within)).await;
    let opened = opened.unwrap_or_else(|_| {
        Err(Failure::Unreachable(io::Error::new(io::ErrorKind::TimedOut, format!("no session within {within:?}"))))
    });
    match opened {
        Ok((server, endpoint)) => {
            arrived(&endpoint);
            carry(client, server).await;
        }
        Err(failure) => {
            // Whether it is still there to hear it is its own affair.
            let _ = send(&mut client, b'E', &failure.fields()).await;
        }
    }
}

async fn open(client: &mut UnixStream, route: &Route, within: Duration) -> Result<(Stream, Endpoint), Failure> {
    let startup = startup(client).await?;
    let opening = Opening::new(route, &startup).await?;
    let (server, greeting, endpoint) = first(route, within, &opening).await?;
    client.write_all(&greeting.bytes).await?;
    Ok((server, endpoint))
}

/// Until one side ends. What the driver said last is passed on.
async fn carry(client: UnixStream, server: Stream) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let there = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = from_client.read(&mut buffer).await?;
            if count == 0 {
                return io::Result::Ok(());
            }
            let passed_on = async {
                to_server.write_all(&buffer[..count]).await?;
                to_server.flush().await
            };
            timeout(STALLED, passed_on).await??;
        }
    };
    let back = async {
        let mut buffer = vec![0; BUFFER];
        loop {
            let count = from_server.read(&mut buffer).await?;
            if count == 0 {
                return io::Result::Ok(());
            }
            to_client.write_all(&buffer[..count]).await?;
        }
    };
    tokio::select! {
        _ = there => {}
        _ = back => {}
    }
    let _ = timeout(FAREWELL, to_server.shutdown()).await;
}
