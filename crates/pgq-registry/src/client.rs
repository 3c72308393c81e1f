//! Sends requests to registries: over TLS, except to this machine, and again with credentials where they
//! are asked for.

use std::net::IpAddr;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use reqwest::{Client as Http, Method, Response, StatusCode, Url, redirect};
use tokio_rustls::rustls::crypto::ring;

use super::authorize::{self, Challenge};
use super::body;
use super::credentials;
use super::error::{RegistryError, Said};
use super::limits;
use super::reference::Reference;
use super::token::{Action, Tokens};

/// What asks registries. Keeps connections and tokens.
pub struct Client {
    http: Http,
    /// Registries that may be asked over plain HTTP.
    insecure: Vec<String>,
    tokens: Tokens,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("insecure", &self.insecure).finish_non_exhaustive()
    }
}

/// One request, which can be sent twice.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) of: &'a Reference,
    pub(super) action: Action,
    pub(super) time: Duration,
}

impl Client {
    /// `insecure` are registries that may be asked over plain HTTP.
    ///
    /// # Errors
    ///
    /// Fails if the machine's authorities cannot be read.
    pub fn new(insecure: Vec<String>) -> Result<Client, RegistryError> {
        // Another part of this process may have chosen it before.
        let _ = ring::default_provider().install_default();
        let follow = redirect::Policy::custom(|attempt| {
            let was_secure = attempt.previous().iter().any(|url| url.scheme() == "https");
            if attempt.previous().len() > limits::REDIRECTS {
                attempt.error("it redirects too often")
            } else if was_secure && attempt.url().scheme() != "https" {
                attempt.error("it redirects from HTTPS to plain HTTP")
            } else {
                attempt.follow()
            }
        });
        let http = Http::builder()
            .connect_timeout(limits::CONNECT)
            .read_timeout(limits::READ)
            .redirect(follow)
            .user_agent(concat!("pgq-host/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| body::unreachable("a registry", error))?;
        Ok(Client { http, insecure, tokens: Tokens::default() })
    }

    /// The address of this part of the API.
    pub(super) fn url(&self, of: &Reference, rest: &str) -> Result<Url, RegistryError> {
        let registry = if of.registry() == "docker.io" { "registry-1.docker.io" } else { of.registry() };
        let scheme = if is_loopback(registry) || self.is_insecure(registry) { "http" } else { "https" };
        let text = format!("{scheme}://{registry}/v2/{}/{rest}", of.repository());
        text.parse().map_err(|_| RegistryError::Reference(format!("{of} leads to no address")))
    }

    fn is_insecure(&self, registry: &str) -> bool {
        self.insecure.iter().any(|insecure| insecure == registry)
    }

    /// Whether an address that a registry named may be asked.
    pub(super) fn allows(&self, url: &Url) -> bool {
        let host = url.host_str().unwrap_or_default();
        let whole = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        url.scheme() == "https" || (url.scheme() == "http" && (is_loopback(&whole) || self.is_insecure(&whole)))
    }

    /// Send it, and once more with credentials if they are asked for. Any answer but that is returned.
    pub(super) async fn send(&self, request: &Request<'_>) -> Result<Response, RegistryError> {
        let (registry, repository) = (request.of.registry(), request.of.repository());
        let known = self.tokens.get(registry, repository, request.action);
        let had = known.is_some();
        let answer = self.once(request, known).await?;
        if answer.status() != StatusCode::UNAUTHORIZED {
            return Ok(answer);
        }
        self.tokens.forget(registry, repository, request.action);
        let refused = |cause: &str| RegistryError::Unauthorized { registry: registry.to_owned(), cause: cause.into() };
        let asked = answer.headers().get_all(WWW_AUTHENTICATE).iter();
        let challenge = asked.filter_map(|header| header.to_str().ok()).find_map(Challenge::read);
        let challenge = challenge.ok_or_else(|| refused(", and does not say which"))?;
        let (credentials, scope) = (credentials::of(registry).await?, request.action.scope(repository));
        let has = credentials.is_some();
        let allows = |url: &Url| self.allows(url);
        let header = authorize::header(&self.http, registry, challenge, &scope, credentials, allows).await?;
        let answer = self.once(request, Some(header.clone())).await?;
        if answer.status() == StatusCode::UNAUTHORIZED {
            return Err(refused(if has || had { ", and refuses those that it was given" } else { "" }));
        }
        self.tokens.put(registry, repository, request.action, header);
        Ok(answer)
    }

    async fn once(
        &self,
        request: &Request<'_>,
        authorization: Option<reqwest::header::HeaderValue>,
    ) -> Result<Response, RegistryError> {
        let mut builder = self.http.request(request.method.clone(), request.url.clone());
        builder = builder.headers(request.headers.clone()).timeout(request.time);
        if let Some(header) = authorization {
            builder = builder.header(AUTHORIZATION, header);
        }
        if request.method != Method::GET && request.method != Method::HEAD {
            builder = builder.body(request.body.clone());
        }
        builder.send().await.map_err(|error| body::unreachable(&shown(&request.url), error))
    }
}

/// The error of an answer that is none of the expected ones.
pub(super) async fn unexpected(of: &Reference, url: &Url, answer: Response) -> RegistryError {
    let (url, status) = (shown(url), answer.status());
    match status {
        StatusCode::NOT_FOUND => RegistryError::NotFound(of.to_string()),
        StatusCode::FORBIDDEN => RegistryError::Unauthorized {
            registry: of.registry().to_owned(),
            cause: ", as those that it was given may not do this".into(),
        },
        _ => match body::read(answer, &url, limits::ANSWER_BYTES).await {
            Ok(bytes) => RegistryError::Answer { url, status: status.as_u16(), said: Said::new(&bytes) },
            Err(error) => error,
        },
    }
}

/// The address without its query, which may have a secret of the registry's in it.
pub(super) fn shown(url: &Url) -> String {
    format!("{}{}", url.origin().ascii_serialization(), url.path())
}

/// Whether a registry's name is this machine's own, which nobody in between can listen to.
fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_and_for_what_is_named() {
        let client = Client::new(vec!["registry.lan:5000".into()]).expect("a client");
        let scheme = |text: &str| {
            let reference: Reference = format!("oci://{text}/a:1").parse().expect("a reference");
            client.url(&reference, "tags").expect("an address").scheme().to_owned()
        };
        for plain in ["localhost", "localhost:5000", "127.0.0.1:5000", "[::1]:5000", "registry.lan:5000"] {
            assert_eq!(scheme(plain), "http", "{plain}");
        }
        for secure in ["registry.lan", "registry.lan:5001", "localhost.evil.org", "127.0.0.1.nip.io", "10.0.0.1:5000"] {
            assert_eq!(scheme(secure), "https", "{secure}");
        }
        assert!(!client.allows(&"http://tokens.example.com/".parse().expect("a URL")));
        assert!(client.allows(&"https://tokens.example.com/".parse().expect("a URL")));
        assert!(!client.allows(&"file:///etc/passwd".parse().expect("a URL")));
    }
}
