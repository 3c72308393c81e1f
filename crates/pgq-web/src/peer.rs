//! The other end of a connection.

use std::net::SocketAddr;

/// Put into the extensions of each request by the server.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub(crate) SocketAddr);
