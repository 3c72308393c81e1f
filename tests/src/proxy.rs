//! A network between hosts and their database that fails on demand: it can fall silent as if a cable were pulled, and cut what it carries.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What the network does with what it carries. A change reaches connections that are open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Network {
    Well,
    /// Nothing is carried in either direction, nothing is closed, and nobody is told. New connections hear nothing either.
    Silent,
}

/// In front of one server. Gone when dropped, and all connections with it.
pub struct Proxy {
    address: SocketAddr,
    dsn: String,
    network: Arc<watch::Sender<Network>>,
    cut: Arc<watch::Sender<u64>>,
    open: Arc<AtomicUsize>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// In front of the server of this DSN, `postgresql://user:password@host:port/database`.
    pub async fn before(dsn: &str) -> Proxy {
        let (login, place) = dsn.rsplit_once('@').expect("a login");
        let (server, database) = place.split_once('/').expect("a database");
        let server = server.to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let network = Arc::new(watch::Sender::new(Network::Well));
        let cut = Arc::new(watch::Sender::new(0));
        let open = Arc::new(AtomicUsize::new(0));
        let accepting = tokio::spawn({
            let (network, cut, open) = (Arc::clone(&network), Arc::clone(&cut), Arc::clone(&open));
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    let (network, mut cut) = (network.subscribe(), cut.subscribe());
                    let (server, open) = (server.clone(), Arc::clone(&open));
                    cut.mark_unchanged();
                    tokio::spawn(async move {
                        open.fetch_add(1, Ordering::Relaxed);
                        tokio::select! {
                            () = carry(client, &server, network) => {}
                            _ = cut.changed() => {}
                        }
                        open.fetch_sub(1, Ordering::Relaxed);
                    });
                }
            }
        });
        Proxy { address, dsn: format!("{login}@{address}/{database}"), network, cut, open, accepting }
    }

    /// The same database, through the proxy.
    pub fn dsn(&self) -> String {
        self.dsn.clone()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Carry nothing, and tell nobody.
    pub fn fall_silent(&self) {
        self.network.send_replace(Network::Silent);
    }

    /// Carry again: what was held back arrives late.
    pub fn recover(&self) {
        self.network.send_replace(Network::Well);
    }

    /// Close all connections on both sides.
    pub fn cut(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }

    /// Connections that are open.
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

async fn carry(client: TcpStream, server: &str, network: watch::Receiver<Network>) {
    let mut connecting = network.clone();
    if connecting.wait_for(|network| *network == Network::Well).await.is_err() {
        return;
    }
    let Ok(server) = TcpStream::connect(server).await else { return };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let ((from_client, to_client), (from_server, to_server)) = (client.into_split(), server.into_split());
    // The end of one direction is the end of both.
    tokio::select! {
        () = copy(from_client, to_server, network.clone()) => {}
        () = copy(from_server, to_client, network) => {}
    }
}

async fn copy(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, mut network: watch::Receiver<Network>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = from.read(&mut buffer).await;
        // An end is not carried either: the other side of a cable that was pulled hears of none.
        if network.wait_for(|network| *network == Network::Well).await.is_err() {
            return;
        }
        match read {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).await.is_ok() => {}
            _ => return,
        }
    }
}
