//! Requests to pages, written by hand: a browser, a script, or somebody who means harm.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A request to an address like `127.0.0.1:8080`.
pub struct Ask {
    address: String,
    head: String,
    host: String,
    body: String,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    /// 0 if nobody answered.
    pub status: u16,
    /// All lines of the head, in lower case but for the values.
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Ask {
    /// `GET /path`, say.
    pub fn new(address: &str, method_and_path: &str) -> Ask {
        let head = format!("{method_and_path} HTTP/1.1\r\nConnection: close\r\n");
        Ask { address: address.to_owned(), head, host: "localhost".to_owned(), body: String::new() }
    }

    /// With the name that the site is asked for by.
    pub fn host(mut self, host: &str) -> Ask {
        self.host = host.to_owned();
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Ask {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    pub fn bearer(self, token: &str) -> Ask {
        self.header("Authorization", &format!("Bearer {token}"))
    }

    /// With a form, whose text is encoded already.
    pub fn form(mut self, body: &str) -> Ask {
        self.body = body.to_owned();
        self.header("Content-Type", "application/x-www-form-urlencoded")
    }

    /// With a body in JSON.
    pub fn json(mut self, body: impl std::fmt::Display) -> Ask {
        self.body = body.to_string();
        self.header("Content-Type", "application/json")
    }

    /// Connect and send, without waiting for an answer.
    pub async fn sent(&self) -> std::io::Result<TcpStream> {
        let mut stream = TcpStream::connect(&self.address).await?;
        let Ask { head, host, body, .. } = self;
        let text = format!("{head}Host: {host}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        stream.write_all(text.as_bytes()).await?;
        Ok(stream)
    }

    pub async fn answer(&self) -> Answer {
        let mut text = Vec::new();
        if let Ok(mut stream) = self.sent().await {
            // A server that refuses a body may close the connection before it was sent.
            let _ = stream.read_to_end(&mut text).await;
        }
        let text = String::from_utf8_lossy(&text);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok()).unwrap_or_default();
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }
}

impl Answer {
    /// The first header of this name, or nothing.
    pub fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(header, _)| header == name).map(|(_, value)| value.as_str()).unwrap_or_default()
    }
}
