//! Opening a connection to a server, encrypted as far as was asked for.

use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::encryption::{Encryption, SslMode};
use crate::endpoint::{Endpoint, Place};
use crate::failure::Failure;
use crate::stream::Stream;

const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How one try is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Try {
    Plain,
    /// If the server can.
    IfOffered,
    Always,
}

impl Try {
    /// The tries for a mode: the next one is for a server that refuses whoever comes like the first.
    pub(crate) fn all(mode: SslMode, place: &Place) -> &'static [Try] {
        match (mode, place) {
            // A socket of this machine has no network.
            (SslMode::Disable, _) | (_, Place::Unix(_)) => &[Try::Plain],
            (SslMode::Allow, _) => &[Try::Plain, Try::Always],
            (SslMode::Prefer, _) => &[Try::IfOffered, Try::Plain],
            (SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull, _) => &[Try::Always],
        }
    }
}

pub(crate) async fn dial(
    endpoint: &Endpoint,
    place: &Place,
    how: Try,
    encryption: &Encryption,
    config: Option<&Arc<ClientConfig>>,
) -> Result<Stream, Failure> {
    let address = match place {
        Place::Unix(path) => return Ok(Stream::Unix(UnixStream::connect(path).await?)),
        Place::Tcp(address) => address,
    };
    let mut stream = TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let (Try::IfOffered | Try::Always, Some(config)) = (how, config) else { return Ok(Stream::Tcp(stream)) };
    if !encryption.is_direct {
        stream.write_all(&SSL_REQUEST).await?;
        match stream.read_u8().await? {
            b'S' => {}
            b'N' if how == Try::IfOffered => return Ok(Stream::Tcp(stream)),
            b'N' => return Err(Failure::Insecure("the server does not support TLS, which sslmode asks for".into())),
            _ => return Err(Failure::Unreachable(io::Error::other("it does not answer like PostgreSQL"))),
        }
    }
    let name = match ServerName::try_from(endpoint.host.clone()) {
        Ok(name) => name,
        // What is no name is not sent and not checked.
        Err(_) if encryption.mode < SslMode::VerifyFull => {
            ServerName::from(endpoint.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
        }
        Err(_) => return Err(Failure::Insecure("its name is none that a certificate could have".into())),
    };
    let stream = TlsConnector::from(Arc::clone(config)).connect(name, stream).await;
    let stream = stream.map_err(|error| match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Failure::Tls(error),
        _ => Failure::Unreachable(error),
    })?;
    if encryption.is_direct && stream.get_ref().1.alpn_protocol() != Some(b"postgresql") {
        return Err(Failure::Insecure("the server does not take TLS at once (sslnegotiation=direct)".into()));
    }
    Ok(Stream::Tls(Box::new(stream)))
}
