//! A login, up to the moment in which a session begins: by password, MD5 or SCRAM, bound to the
//! server's certificate where that is asked for or possible.

use postgres_protocol::authentication::md5_hash;
use postgres_protocol::authentication::sasl::{
    ChannelBinding as Binding, SCRAM_SHA_256, SCRAM_SHA_256_PLUS, ScramSha256,
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};

use crate::attrs::{Role, SessionAttrs};
use crate::encryption::ChannelBinding;
use crate::failure::{Failure, Refusal};
use crate::message::{Message, invalid, send, texts};

/// Parameters and notices, before a session begins.
const LONGEST_GREETING: usize = 1 << 20;
const PASSWORD: u8 = b'p';

/// As whom.
pub(crate) struct Credentials<'a> {
    pub(crate) user: &'a str,
    pub(crate) password: Option<&'a str>,
    pub(crate) binding: ChannelBinding,
    /// Whether the connection is encrypted, and the digest of the server's certificate if it has one.
    pub(crate) encrypted: Option<Option<Vec<u8>>>,
}

/// What the server said, for whoever uses the session, and what it says of itself.
pub(crate) struct Greeting {
    pub(crate) bytes: Vec<u8>,
    role: (Option<bool>, Option<bool>),
}

/// `startup`: the client's first message, as it is.
pub(crate) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    startup: &[u8],
    credentials: &Credentials<'_>,
) -> Result<Greeting, Failure> {
    if credentials.binding == ChannelBinding::Require && credentials.encrypted.is_none() {
        return Err(insecure("channel binding is required, and the connection is not encrypted"));
    }
    stream.write_all(startup).await?;
    stream.flush().await?;
    authenticate(stream, credentials).await?;
    let mut greeting = Greeting { bytes: Vec::new(), role: (None, None) };
    Message { kind: b'R', body: vec![0; 4] }.write_to(&mut greeting.bytes);
    loop {
        let message = next(stream).await?;
        message.write_to(&mut greeting.bytes);
        if greeting.bytes.len() > LONGEST_GREETING {
            return Err(invalid("a greeting without an end").into());
        }
        match message.kind {
            b'S' => greeting.note(&message.body),
            b'Z' => return Ok(greeting),
            _ => {}
        }
    }
}

/// The next message that is no refusal.
async fn next<S: AsyncRead + Unpin>(stream: &mut S) -> Result<Message, Failure> {
    let message = Message::read(stream).await?;
    if message.kind == b'E' { Err(Failure::Refused(Refusal::of(message.body))) } else { Ok(message) }
}

async fn authenticate<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    credentials: &Credentials<'_>,
) -> Result<(), Failure> {
    let mut is_bound = false;
    loop {
        let message = next(stream).await?;
        if message.kind != b'R' {
            // Notices, and negotiations of the protocol's version.
            continue;
        }
        let Some((kind, body)) = message.body.split_first_chunk::<4>() else {
            return Err(invalid("a question without a kind").into());
        };
        let kind = u32::from_be_bytes(*kind);
        if credentials.binding == ChannelBinding::Require && !is_bound && kind != 10 {
            return Err(insecure(
                "channel binding is required, and the server lets us in without it: it needs a password of SCRAM, and a certificate",
            ));
        }
        let password =
            || credentials.password.ok_or_else(|| insecure("the server asks for a password, and none is set"));
        match (kind, body) {
            (0, _) => return Ok(()),
            (3, _) => send(stream, PASSWORD, &ended(password()?)).await?,
            (5, salt) => {
                let salt = salt.first_chunk().ok_or_else(|| invalid("a salt of an odd length"))?;
                let hash = md5_hash(credentials.user.as_bytes(), password()?.as_bytes(), *salt);
                send(stream, PASSWORD, &ended(&hash)).await?;
            }
            (10, offered) => {
                is_bound = scram(stream, &texts(offered).collect::<Vec<_>>(), password()?, credentials).await?;
            }
            (7..=9, _) => return Err(insecure("the server asks for Kerberos or SSPI, which is not supported")),
            _ => return Err(insecure("the server asks for a way to authenticate that is not supported")),
        }
    }
}

/// Whether it was bound to the certificate.
async fn scram<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    offered: &[&str],
    password: &str,
    credentials: &Credentials<'_>,
) -> Result<bool, Failure> {
    let offers_binding = offered.contains(&SCRAM_SHA_256_PLUS);
    let is_required = credentials.binding == ChannelBinding::Require;
    let (mechanism, binding) = match (credentials.binding, &credentials.encrypted) {
        (ChannelBinding::Prefer | ChannelBinding::Require, Some(Some(digest))) if offers_binding => {
            (SCRAM_SHA_256_PLUS, Binding::tls_server_end_point(digest.clone()))
        }
        _ if is_required && offers_binding => {
            return Err(insecure(
                "channel binding is required, and the server's certificate has a signature without a hash",
            ));
        }
        _ if is_required => return Err(insecure("channel binding is required, and the server does not offer it")),
        // Said only where it is so: a server that did offer it knows then that somebody took it out.
        (ChannelBinding::Prefer, Some(Some(_))) => (SCRAM_SHA_256, Binding::unrequested()),
        _ => (SCRAM_SHA_256, Binding::unsupported()),
    };
    if !offered.contains(&mechanism) {
        return Err(insecure("the server offers no way to authenticate that is supported"));
    }
    let mut scram = ScramSha256::new(password.as_bytes(), binding);
    let first = scram.message();
    let mut body = ended(mechanism);
    body.extend_from_slice(&u32::try_from(first.len()).unwrap_or(u32::MAX).to_be_bytes());
    body.extend_from_slice(first);
    send(stream, PASSWORD, &body).await?;
    scram.update(&sasl(stream, 11).await?)?;
    send(stream, PASSWORD, scram.message()).await?;
    // Here the server proves that it knows the password as well.
    scram.finish(&sasl(stream, 12).await?).map_err(|_| insecure("the server does not know the password itself"))?;
    Ok(mechanism == SCRAM_SHA_256_PLUS)
}

/// The body of the next step of SCRAM.
async fn sasl<S: AsyncRead + Unpin>(stream: &mut S, step: u32) -> Result<Vec<u8>, Failure> {
    loop {
        let message = next(stream).await?;
        match (message.kind, message.body.split_first_chunk::<4>()) {
            (b'N', _) => {}
            (b'R', Some((kind, body))) if u32::from_be_bytes(*kind) == step => return Ok(body.to_vec()),
            _ => return Err(invalid("a login that does not go on").into()),
        }
    }
}

fn ended(text: &str) -> Vec<u8> {
    [text.as_bytes(), &[0]].concat()
}

fn insecure(why: &str) -> Failure {
    Failure::Insecure(why.to_owned())
}

impl Greeting {
    fn note(&mut self, body: &[u8]) {
        let mut texts = texts(body);
        match (texts.next(), texts.next()) {
            (Some("in_hot_standby"), Some(value)) => self.role.0 = Some(value == "on"),
            (Some("default_transaction_read_only"), Some(value)) => self.role.1 = Some(value == "on"),
            _ => {}
        }
    }

    /// Whether this is the server that is looked for. One that does not say what it is (a pooler) is
    /// asked.
    pub(crate) async fn check<S: AsyncRead + AsyncWrite + Unpin>(
        &self,
        stream: &mut S,
        wanted: SessionAttrs,
    ) -> Result<(), Failure> {
        if wanted == SessionAttrs::Any {
            return Ok(());
        }
        let role = match self.role {
            (Some(is_standby), Some(is_read_only)) => Role { is_standby, is_read_only },
            _ => Role {
                is_standby: ask(stream, "SELECT pg_catalog.pg_is_in_recovery()").await? == "t",
                is_read_only: ask(stream, "SHOW transaction_read_only").await? == "on",
            },
        };
        match wanted.refusal(role) {
            None => Ok(()),
            Some(why) => {
                let _ = send(stream, b'X', &[]).await;
                Err(Failure::Unfit(why))
            }
        }
    }
}

/// The first value of the first row.
async fn ask<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, statement: &str) -> Result<String, Failure> {
    send(stream, b'Q', &ended(statement)).await?;
    let mut answer = String::new();
    loop {
        let message = next(stream).await?;
        match message.kind {
            b'D' => answer = String::from_utf8_lossy(message.body.get(6..).unwrap_or_default()).into_owned(),
            b'Z' => return Ok(answer),
            _ => {}
        }
    }
}
