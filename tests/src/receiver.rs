//! A receiver of webhooks on loopback, which answers as told and records the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// To this path with a number, it responds with that many bytes instead of two.
const FLOOD: &str = "GET /flood/";

/// Ends with the test's runtime.
pub struct Receiver {
    origin: String,
    requests: Arc<Mutex<Vec<String>>>,
}

impl Receiver {
    /// Respond with these status codes, one per request, and then with 500.
    pub async fn start(answers: Vec<u16>) -> Receiver {
        Receiver::serve(answers, None).await
    }

    /// The same over TLS, as `localhost`. Also returns the certificate of the authority that signed
    /// it, in PEM.
    pub async fn encrypted(answers: Vec<u16>) -> (Receiver, String) {
        let certified = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("ring has the default versions")
            .with_no_client_auth()
            .with_single_cert(vec![certified.cert.der().clone()], key)
            .expect("its key");
        (Receiver::serve(answers, Some(TlsAcceptor::from(Arc::new(config)))).await, certified.cert.pem())
    }

    async fn serve(answers: Vec<u16>, tls: Option<TlsAcceptor>) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("bound");
        let origin =
            if tls.is_some() { format!("https://localhost:{}", address.port()) } else { format!("http://{address}") };
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (sink, mut answers) = (Arc::clone(&requests), VecDeque::from(answers));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let status = answers.front().copied().unwrap_or(500);
                let answered = match &tls {
                    None => answer(stream, status).await,
                    Some(tls) => match tls.accept(stream).await {
                        Ok(stream) => answer(stream, status).await,
                        Err(_) => None,
                    },
                };
                if let Some(request) = answered {
                    answers.pop_front();
                    sink.lock().unwrap().push(request);
                }
            }
        });
        Receiver { origin, requests }
    }

    /// `http://127.0.0.1:port`, or `https://localhost:port`.
    pub fn origin(&self) -> String {
        self.origin.clone()
    }

    pub fn port(&self) -> u16 {
        self.origin.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port")
    }

    /// Head and body of each request, as received.
    pub fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin, status: u16) -> Option<String> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    // Read the whole body, or the client would see a reset instead of the response.
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
            // Retry-After is 0, because the test waits for a response and not for a back-off. A
            // redirect leads to the address at which clouds keep their machines' credentials.
            let location = if (300..400).contains(&status) { "location: http://169.254.169.254/\r\n" } else { "" };
            let flood = text.strip_prefix(FLOOD).and_then(|rest| rest.split(' ').next()?.parse::<usize>().ok());
            let length = flood.unwrap_or(2);
            let head = format!(
                "HTTP/1.1 {status} Told\r\n{location}retry-after: 0\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).await.ok()?;
            if let Some(length) = flood {
                // A client that has read enough closes the connection.
                let _ = tokio::io::copy(&mut tokio::io::repeat(b'x').take(length as u64), &mut stream).await;
            } else {
                stream.write_all(b"ok").await.ok()?;
            }
            let _ = stream.shutdown().await;
            return Some(text);
        }
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => return None,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
    }
}
