//! Values of flags and variables, refused in words that say what is accepted.

use std::net::SocketAddr;
use std::str::FromStr;

/// How many of something.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| "write a whole number that is not negative, like 100".into())
}

/// A port to listen on.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.trim().parse().map_err(|_| "write a port from 0 to 65535".into())
}

/// Where to serve pages, or to ask for them.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "write ADDRESS:PORT, like 127.0.0.1:9187, 0.0.0.0:9187 or [::]:9187".into())
}
