//! A network between hosts and their database that fails on demand: it can fall silent, as if a
//! cable were unplugged, and close its connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// The state of the network. A change affects open connections, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Well,
    /// Nothing is forwarded in either direction, nothing is closed, and neither side is told. New
    /// connections get no answer either.
    Silent,
}

/// A proxy in front of one server. Dropping it closes all connections.
pub struct Proxy {
    address: SocketAddr,
    dsn: String,
    network: Arc<watch::Sender<Network>>,
    cut: Arc<watch::Sender<u64>>,
    open: Arc<AtomicUsize>,
    left: Arc<AtomicU64>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Start one in front of the server with this DSN,
    /// `postgresql://user:password@host:port/database`.
    pub async fn before(dsn: &str) -> Proxy {
        let (login, place) = dsn.rsplit_once('@').expect("a login");
        let (server, database) = place.split_once('/').expect("a database");
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let network = Arc::new(watch::Sender::new(Network::Well));
        let cut = Arc::new(watch::Sender::new(0));
        let (open, left) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicU64::new(u64::MAX)));
        let accepting = tokio::spawn({
            let (network, cut, open, left) =
                (Arc::clone(&network), Arc::clone(&cut), Arc::clone(&open), Arc::clone(&left));
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (network, mut cut) = (Arc::clone(&network), cut.subscribe());
                    let (server, open, left) = (server.clone(), Arc::clone(&open), Arc::clone(&left));
                    cut.mark_unchanged();
                    tokio::spawn(async move {
                        open.fetch_add(1, Ordering::Relaxed);
                        tokio::select! {
                            () = carry(client, &server, &network, &left) => {}
                            _ = cut.changed() => {}
                        }
                        open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            }
        });
        Proxy { address, dsn: format!("{login}@{address}/{database}"), network, cut, open, left, accepting }
    }

    /// The DSN of the same database through the proxy.
    pub fn dsn(&self) -> String {
        self.dsn.clone()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stop forwarding, without closing anything.
    pub fn fall_silent(&self) {
        self.network.send_replace(Network::Silent);
    }

    /// The same, after this many further bytes from the server.
    pub fn fall_silent_after(&self, bytes: u64) {
        self.left.store(bytes, Ordering::Relaxed);
    }

    /// Whether it forwards nothing.
    pub fn is_silent(&self) -> bool {
        *self.network.borrow() == Network::Silent
    }

    /// Forward again: what was held back arrives late.
    pub fn recover(&self) {
        self.left.store(u64::MAX, Ordering::Relaxed);
        self.network.send_replace(Network::Well);
    }

    /// Close all connections on both sides.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// The number of open connections.
    pub fn connections(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn carry(client: TcpStream, server: &str, network: &watch::Sender<Network>, left: &AtomicU64) {
    well(network).await;
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    let without_end = AtomicU64::new(u64::MAX);
    // The end of one direction ends both.
    tokio::select! {
        () = copy(from_client, to_server, network, &without_end) => {}
        () = copy(from_server, to_client, network, left) => {}
    }
}

async fn copy(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    network: &watch::Sender<Network>,
    left: &AtomicU64,
) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        if let Ok(read) = read {
            let was = left.fetch_sub(read as u64, Ordering::Relaxed);
            if was < read as u64 {
                left.store(u64::MAX, Ordering::Relaxed);
                network.send_replace(Network::Silent);
            }
        }
        // The end is not forwarded either: with an unplugged cable, the other side does not notice
        // it.
        well(network).await;
        match read {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).await.is_ok() => {}
            _ => return,
        }
    }
}

async fn well(network: &watch::Sender<Network>) {
    // The sender exists here, so the wait cannot fail.
    let _ = network.subscribe().wait_for(|network| *network == Network::Well).await;
}
