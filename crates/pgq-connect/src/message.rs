//! Messages of PostgreSQL's protocol, as far as a login needs them. None is longer than a login's are.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest message before a session begins. A refusal may quote a long line of `pg_hba.conf`.
const LONGEST: usize = 64 * 1024;

/// A message of the server: its kind and its body.
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) body: Vec<u8>,
}

impl Message {
    pub(crate) async fn read(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Message> {
        let kind = stream.read_u8().await?;
        Ok(Message { kind, body: body(stream).await? })
    }

    /// As it came.
    pub(crate) fn write_to(&self, bytes: &mut Vec<u8>) {
        bytes.push(self.kind);
        write_body(&self.body, bytes);
    }
}

/// What a client sends first.
pub(crate) async fn startup(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let body = body(stream).await?;
    let mut bytes = Vec::new();
    write_body(&body, &mut bytes);
    Ok(bytes)
}

pub(crate) async fn send(stream: &mut (impl AsyncWrite + Unpin), kind: u8, body: &[u8]) -> io::Result<()> {
    let mut bytes = vec![kind];
    write_body(body, &mut bytes);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

async fn body(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Vec<u8>> {
    let length = usize::try_from(stream.read_u32().await?).unwrap_or(usize::MAX);
    match length.checked_sub(4) {
        Some(length) if length <= LONGEST => {
            let mut body = vec![0; length];
            stream.read_exact(&mut body).await?;
            Ok(body)
        }
        _ => Err(invalid("a message of an odd length: this is no PostgreSQL")),
    }
}

fn write_body(body: &[u8], bytes: &mut Vec<u8>) {
    let length = u32::try_from(body.len() + 4).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
}

pub(crate) fn invalid(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Texts that end with a zero byte.
pub(crate) fn texts(body: &[u8]) -> impl Iterator<Item = &str> {
    body.split(|byte| *byte == 0).filter_map(|text| std::str::from_utf8(text).ok()).filter(|text| !text.is_empty())
}
