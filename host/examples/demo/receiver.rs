//! The receiver of the webhooks, which is sometimes too busy.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Every fifth delivery is refused at its first attempt. Half of the refusals say when to come
/// back; for the others, the plugin's own back-off decides.
const REFUSED: usize = 5;
const COME_BACK: &str = "retry-after: 2\r\n";

pub(crate) struct Receiver {
    origin: String,
    tally: Arc<Mutex<Tally>>,
}

/// The requests that arrived.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// The number of attempts by idempotency key.
    tries: HashMap<String, usize>,
    accepted: HashSet<String>,
    pub(crate) refused: usize,
}

impl Tally {
    pub(crate) fn requests(&self) -> usize {
        self.tries.values().sum()
    }

    /// The number of distinct keys. A receiver that acts once per key acts this often.
    pub(crate) fn accepted(&self) -> usize {
        self.accepted.len()
    }

    /// How many of this number of deliveries are refused once.
    pub(crate) fn refusals_of(deliveries: usize) -> usize {
        deliveries.div_ceil(REFUSED)
    }

    fn answer(&mut self, key: String) -> (&'static str, &'static str) {
        let known = self.tries.len();
        match self.tries.entry(key) {
            Entry::Vacant(first) if known.is_multiple_of(REFUSED) => {
                first.insert(1);
                self.refused += 1;
                ("503 Service Unavailable", if known.is_multiple_of(2 * REFUSED) { COME_BACK } else { "" })
            }
            entry => {
                self.accepted.insert(entry.key().clone());
                *entry.or_default() += 1;
                ("200 OK", "")
            }
        }
    }
}

impl Receiver {
    pub(crate) async fn start() -> anyhow::Result<Receiver> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("cannot listen on 127.0.0.1")?;
        let origin = format!("http://{}", listener.local_addr()?);
        let tally = Arc::new(Mutex::new(Tally::default()));
        let shared = Arc::clone(&tally);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tally = Arc::clone(&shared);
                // If a connection breaks, the sender tries again.
                tokio::spawn(async move { serve(stream, &tally).await.ok() });
            }
        });
        Ok(Receiver { origin, tally })
    }

    pub(crate) fn origin(&self) -> &str {
        &self.origin
    }

    pub(crate) fn tally(&self) -> Tally {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One request per connection: as much HTTP/1.1 as the demo needs.
async fn serve(stream: TcpStream, tally: &Mutex<Tally>) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut key, mut length, mut line) = (String::new(), 0, String::new());
    while stream.read_line(&mut line).await? > 0 && !line.trim().is_empty() {
        if let Some((name, value)) = line.split_once(':') {
            match name.to_ascii_lowercase().as_str() {
                "idempotency-key" => value.trim().clone_into(&mut key),
                "content-length" => length = value.trim().parse().unwrap_or(0),
                _ => {}
            }
        }
        line.clear();
    }
    tokio::io::copy(&mut (&mut stream).take(length), &mut tokio::io::sink()).await?;
    let (status, header) = tally.lock().unwrap_or_else(PoisonError::into_inner).answer(key);
    let body = format!("{{\"answer\": \"{status}\"}}");
    let answer =
        format!("HTTP/1.1 {status}\r\n{header}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}
