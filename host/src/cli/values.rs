//! Parsers for the values of flags and variables. Their errors say what is accepted.

use std::net::SocketAddr;
use std::str::FromStr;

/// A count.
pub(super) fn whole_number<T: FromStr>(text: &str) -> Result<T, String> {
    text.trim().parse().map_err(|_| "write a whole number that is not negative, like 100".into())
}

/// A port to listen on.
pub(super) fn port(text: &str) -> Result<u16, String> {
    text.trim().parse().map_err(|_| "write a port from 0 to 65535".into())
}

/// An address for serving or requesting pages.
pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.trim().parse().map_err(|_| "write ADDRESS:PORT, like 127.0.0.1:9187, 0.0.0.0:9187 or [::]:9187".into())
}

/// The beginning of a plugin's sha256.
pub(super) fn digest(text: &str) -> Result<String, String> {
    match text.len() {
        4..=64 if text.bytes().all(|byte| byte.is_ascii_hexdigit()) => Ok(text.to_ascii_lowercase()),
        _ => Err("write 4 to 64 hexadecimal digits; `pgq-host plugin list --hosts` has them".into()),
    }
}
