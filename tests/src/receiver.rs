//! A receiver of webhooks, on loopback: answers as told, keeps what it got.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Ends with the test's runtime.
pub struct Receiver {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Answers with these status codes, one per request; then with 500.
    pub async fn start(answers: Vec<u16>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let origin = format!("http://{}", listener.local_addr().expect("bound"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (sink, mut answers) = (Arc::clone(&requests), VecDeque::from(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if let Some(request) = answer(stream, answers.front().copied().unwrap_or(500)).await {
                    answers.pop_front();
                    sink.lock().unwrap().push(request);
                }
            }
        });
        Receiver { origin, requests }
    }

    /// `http://127.0.0.1:port`.
    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    /// Of 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.origin.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Head and body of each, as they came.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(mut stream: TcpStream, status: u16) -> Option<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    // The whole body, or the client would see a reset instead of the answer.
    loop {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let complete = text.split_once("\r\n\r\n").is_some_and(|(head, body)| {
            let head = head.to_ascii_lowercase();
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
            match length {
                Some(length) => body.len() >= length,
                None => !head.contains("transfer-encoding: chunked") || body.ends_with("0\r\n\r\n"),
            }
        });
        if complete {
            // Retry-After of 0: the test waits for an answer, not for a back-off.
            // A redirect leads to where clouds keep their machines' credentials.
            let location = if (300..400).contains(&status) { "location: http://169.254.169.254/\r\n" } else { "" };
            let head = format!("HTTP/1.1 {status} Told\r\n{location}retry-after: 0\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
            stream.write_all(head.as_bytes()).await.ok()?;
            return Some(text);
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
