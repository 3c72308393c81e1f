//! A host's HTTP pages, as a probe or a scraper gets them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

/// The pages of one host.
pub struct Pages {
    port: u16,
}

impl Pages {
    /// Pages at an unused address.
    pub fn anywhere() -> Pages {
        Pages { port: TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port() }
    }

    /// The value for `--listen`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Status and body. The status is 0 if nobody listens.
    pub fn get(&self, path: &str) -> (u16, String) {
        let mut answer = String::new();
        let Ok(mut stream) = TcpStream::connect(self.address()) else { return (0, answer) };
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }
}
