//! Answers a registry's challenge: with a password, or with a token that another server hands out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::HeaderValue;
use reqwest::{Client as Http, Url};
use serde::Deserialize;

use super::body;
use super::credentials::Credentials;
use super::error::{RegistryError, Said};
use super::limits;

/// What a `WWW-Authenticate` header asks for.
pub(super) enum Challenge {
    Basic,
    Bearer { realm: Url, service: Option<String> },
}

#[derive(Deserialize)]
struct Token {
    token: Option<String>,
    access_token: Option<String>,
}

impl Challenge {
    /// The first challenge that can be answered.
    pub(super) fn read(header: &str) -> Option<Challenge> {
        let challenges = http_auth::parse_challenges(header).ok()?;
        challenges.into_iter().find_map(|challenge| {
            let param = |wanted: &str| {
                let found = challenge.params.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
                found.map(|(_, value)| value.to_unescaped())
            };
            if challenge.scheme.eq_ignore_ascii_case("bearer") {
                return Some(Challenge::Bearer { realm: param("realm")?.parse().ok()?, service: param("service") });
            }
            challenge.scheme.eq_ignore_ascii_case("basic").then_some(Challenge::Basic)
        })
    }
}

/// The header with which a request is repeated. `is_allowed` says whether an address may be asked.
pub(super) async fn header(
    http: &Http,
    registry: &str,
    challenge: Challenge,
    scope: &str,
    credentials: Option<Credentials>,
    is_allowed: impl Fn(&Url) -> bool,
) -> Result<HeaderValue, RegistryError> {
    let refused = |cause: &str| RegistryError::Unauthorized { registry: registry.to_owned(), cause: cause.to_owned() };
    match (challenge, credentials) {
        (Challenge::Basic, Some(Credentials::Password { name, password })) => {
            secret(&basic(&name, &password)).ok_or_else(|| refused(", and those here do not fit a header"))
        }
        (Challenge::Basic, _) => Err(refused("")),
        (Challenge::Bearer { realm, .. }, _) if !is_allowed(&realm) => Err(RegistryError::Plain(realm.to_string())),
        (Challenge::Bearer { realm, service }, credentials) => {
            let token = token(http, realm, service, scope, credentials).await?;
            let token = token.token.or(token.access_token).ok_or_else(|| refused(", and its tokens are empty"))?;
            secret(&format!("Bearer {token}")).ok_or_else(|| refused(", and its token does not fit a header"))
        }
    }
}

async fn token(
    http: &Http,
    mut realm: Url,
    service: Option<String>,
    scope: &str,
    credentials: Option<Credentials>,
) -> Result<Token, RegistryError> {
    let shown = format!("{}{}", realm.origin().ascii_serialization(), realm.path());
    let service = service.unwrap_or_default();
    let request = match credentials {
        Some(Credentials::Identity(token)) => {
            let mut form = realm.clone();
            form.query_pairs_mut().clear().extend_pairs([
                ("grant_type", "refresh_token"),
                ("service", &service),
                ("scope", scope),
                ("client_id", "pgq-host"),
                ("refresh_token", &token),
            ]);
            let form = form.query().unwrap_or_default().to_owned();
            http.post(realm).header("content-type", "application/x-www-form-urlencoded").body(form)
        }
        credentials => {
            realm.query_pairs_mut().append_pair("service", &service).append_pair("scope", scope);
            match credentials {
                Some(Credentials::Password { name, password }) => http.get(realm).basic_auth(name, Some(password)),
                _ => http.get(realm),
            }
        }
    };
    let answer = request.timeout(limits::SMALL).send().await.map_err(|error| body::unreachable(&shown, error))?;
    let status = answer.status();
    let bytes = body::read(answer, &shown, limits::ANSWER_BYTES).await?;
    if !status.is_success() {
        return Err(RegistryError::Answer { url: shown, status: status.as_u16(), said: Said::new(&bytes) });
    }
    serde_json::from_slice(&bytes).map_err(|error| RegistryError::Format {
        what: format!("the token of {shown}"),
        cause: format!("it is not JSON: {error}"),
    })
}

fn basic(name: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{name}:{password}")))
}

/// A header that logs do not show.
fn secret(text: &str) -> Option<HeaderValue> {
    let mut header = HeaderValue::from_str(text).ok()?;
    header.set_sensitive(true);
    Some(header)
}
