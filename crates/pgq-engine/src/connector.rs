//! Connects to a granted origin at an address that was checked.
//!
//! A name is resolved once, here, and the connection goes to one of those addresses. A name that
//! changes between check and connection (DNS rebinding) gains nothing, because there is no second
//! lookup.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, LazyLock};

use futures_util::future::BoxFuture;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use wasmtime_wasi_http::Error;

use super::authorities::Authorities;
use super::grants::Grants;
use super::origin::{Host, Origin};
use crate::descriptors;

/// Resolves a name to addresses. It is a parameter, so that tests can provide false answers.
pub(super) type Resolver = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

pub(super) fn system_resolver() -> Resolver {
    static SYSTEM: LazyLock<Resolver> = LazyLock::new(|| {
        Arc::new(|name| {
            Box::pin(async move { Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect()) })
        })
    });
    Arc::clone(&SYSTEM)
}

/// Why there is no connection.
#[derive(Debug)]
pub(super) enum ConnectError {
    /// All addresses of the host belong to the operator's own network.
    Prohibited(Vec<IpAddr>),
    /// Any other failure.
    Failed(Error),
}

/// The permits of a connection: one of its run, and one of the open files of all guests.
pub(super) struct ConnectionPermit {
    _of_the_run: Option<OwnedSemaphorePermit>,
    _of_all: Option<OwnedSemaphorePermit>,
}

impl ConnectionPermit {
    pub(super) async fn acquire(connections: Arc<Semaphore>) -> ConnectionPermit {
        let _of_the_run = connections.acquire_owned().await.ok();
        ConnectionPermit { _of_the_run, _of_all: descriptors::of_guests().acquire_owned().await.ok() }
    }
}

/// A connection, with or without TLS.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connect to the first address that is allowed and answers.
pub(super) async fn connect(
    grants: &Grants,
    origin: &Origin,
    resolver: &Resolver,
) -> Result<Box<dyn Stream>, ConnectError> {
    let found = match &origin.host {
        Host::Address(address) => vec![*address],
        Host::Name(name) => resolver(name.clone()).await.map_err(|_| {
            ConnectError::Failed(Error::DnsError { rcode: Some("the name has no address".into()), info_code: None })
        })?,
    };
    let allowed: Vec<IpAddr> =
        found.iter().copied().filter(|address| grants.allows_address(&origin.host, *address)).collect();
    if allowed.is_empty() && !found.is_empty() {
        return Err(ConnectError::Prohibited(found));
    }
    let mut last = Error::DestinationNotFound;
    for address in allowed {
        match TcpStream::connect(SocketAddr::new(address, origin.port)).await {
            Ok(stream) => {
                // A request is written as a whole, so waiting for more data would only delay it.
                let _ = stream.set_nodelay(true);
                return if origin.https { encrypt(stream, &origin.host, grants).await } else { Ok(Box::new(stream)) };
            }
            Err(error) => last = Error::Connect(error),
        }
    }
    Err(ConnectError::Failed(last))
}

async fn encrypt(stream: TcpStream, host: &Host, grants: &Grants) -> Result<Box<dyn Stream>, ConnectError> {
    let tls = grants.authorities.as_ref().map_or_else(Authorities::public, |authorities| Arc::clone(&authorities.tls));
    let name = match host {
        Host::Address(address) => ServerName::from(*address),
        Host::Name(name) => {
            ServerName::try_from(name.clone()).map_err(|_| ConnectError::Failed(Error::HttpRequestUriInvalid))?
        }
    };
    let stream =
        TlsConnector::from(tls).connect(name, stream).await.map_err(|error| ConnectError::Failed(Error::Tls(error)))?;
    Ok(Box::new(stream))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    /// Gives these answers, one per lookup, then repeats the last one.
    fn lying_resolver(answers: &'static [&'static [&'static str]]) -> (Resolver, Arc<AtomicUsize>) {
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let resolver: Resolver = Arc::new(move |_| {
            let answer = answers[count.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1)];
            Box::pin(async move { Ok(answer.iter().map(|address| address.parse().expect("an address")).collect()) })
        });
        (resolver, asked)
    }

    async fn listener() -> (TcpListener, Origin) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        (listener, format!("http://rebinding.example:{port}").parse().expect("an origin"))
    }

    fn open(networks: &[&str]) -> Grants {
        let private_networks = networks.iter().map(|network| network.parse().expect("a network")).collect();
        Grants { private_networks, ..Grants::default() }
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_and_connected_to_what_was_checked() {
        let (listener, origin) = listener().await;
        // A second lookup would lead elsewhere.
        let (resolver, asked) = lying_resolver(&[&["127.0.0.1"], &["203.0.113.1"]]);
        let accepted = async { listener.accept().await.expect("a connection").1.ip() };
        let grants = open(&["127.0.0.1"]);
        let (connected, from) = tokio::join!(connect(&grants, &origin, &resolver), accepted);
        assert!(connected.is_ok());
        assert!(from.is_loopback());
        assert_eq!(asked.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_name_of_the_operators_own_network_is_refused_in_every_wrapping() {
        let (_listener, origin) = listener().await;
        for private in [
            &["127.0.0.1"][..],
            &["::ffff:127.0.0.1"],
            &["::1", "10.0.0.1"],
            &["169.254.169.254"],
            &["64:ff9b::7f00:1"],
        ] {
            let answers: &'static [&'static [&'static str]] = Box::leak(vec![private].into_boxed_slice());
            let (resolver, asked) = lying_resolver(answers);
            let refused = connect(&open(&["192.168.0.0/16"]), &origin, &resolver).await;
            assert!(
                matches!(refused, Err(ConnectError::Prohibited(found)) if found.len() == private.len()),
                "{private:?}"
            );
            assert_eq!(asked.load(Ordering::SeqCst), 1, "{private:?}");
        }
    }

    #[tokio::test]
    async fn of_several_addresses_only_the_allowed_ones_are_tried() {
        let (listener, origin) = listener().await;
        // If the first address were tried, the system would refuse at once: nothing listens there.
        let (resolver, _) = lying_resolver(&[&["127.0.0.2", "127.0.0.1"]]);
        let grants = open(&["127.0.0.1"]);
        let accepted = async { listener.accept().await.expect("a connection").0.local_addr().expect("bound").ip() };
        let (connected, at) = tokio::join!(connect(&grants, &origin, &resolver), accepted);
        assert!(connected.is_ok());
        assert_eq!(at, IpAddr::from([127, 0, 0, 1]));
    }
}
