//! Pulls components. Each part is checked against the digest that named it: the manifest against the
//! reference's or the registry's, the component against the manifest's.

use bytes::Bytes;
use reqwest::header::{ACCEPT, HeaderMap, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use std::time::Duration;

use super::body;
use super::client::{Client, Request, shown, unexpected};
use super::error::RegistryError;
use super::limits;
use super::manifest::{MANIFEST, Manifest};
use super::reference::{Reference, is_digest};
use super::token::Action;

/// A component and what leads to it.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// Of the manifest.
    pub digest: String,
    pub manifest: Vec<u8>,
    pub component: Vec<u8>,
}

impl Client {
    /// The digest of the manifest that the reference leads to now. Costs one short request without a body.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not say.
    pub async fn digest(&self, of: &Reference) -> Result<String, RegistryError> {
        let url = self.url(of, &format!("manifests/{}", of.asked()))?;
        let request = get(Method::HEAD, url, of, Some(MANIFEST), limits::SMALL);
        let answer = self.send(&request).await?;
        if answer.status() != StatusCode::OK {
            return Err(unexpected(of, &request.url, answer).await);
        }
        let told = answer.headers().get("docker-content-digest").and_then(|digest| digest.to_str().ok());
        match told.filter(|digest| is_digest(digest)) {
            Some(digest) => Ok(digest.to_owned()),
            // A registry need not tell it; then the manifest itself does.
            None => Ok(digest_of(&self.manifest(of).await?)),
        }
    }

    /// The component of a manifest with this digest, of at most so many bytes.
    ///
    /// # Errors
    ///
    /// Fails if it is not there, too large, no component, or other bytes than its digest says.
    pub async fn pull(&self, of: &Reference, digest: &str, most: u64) -> Result<Pulled, RegistryError> {
        let of = of.with_digest(digest);
        let manifest = self.manifest(&of).await?;
        let parsed = Manifest::read(&of.to_string(), &manifest)?;
        let layer = parsed.component(&of.to_string())?;
        if layer.size > most {
            let url = shown(&self.url(&of, &format!("blobs/{}", layer.digest))?);
            return Err(RegistryError::TooLarge { url, most });
        }
        let component = self.blob(&of, &layer.digest, layer.size, limits::LARGE).await?;
        Ok(Pulled { digest: digest.to_owned(), manifest, component })
    }

    /// The bytes of the manifest. If the reference has a digest, they have it, too.
    pub(super) async fn manifest(&self, of: &Reference) -> Result<Vec<u8>, RegistryError> {
        let url = self.url(of, &format!("manifests/{}", of.asked()))?;
        let request = get(Method::GET, url, of, Some(MANIFEST), limits::SMALL);
        let bytes = self.fetch(&request, limits::MANIFEST_BYTES).await?;
        match of.digest() {
            Some(digest) => checked(bytes, digest, &request.url),
            None => Ok(bytes),
        }
    }

    /// The bytes with this digest.
    pub(super) async fn blob(
        &self,
        of: &Reference,
        digest: &str,
        most: u64,
        time: Duration,
    ) -> Result<Vec<u8>, RegistryError> {
        let url = self.url(of, &format!("blobs/{digest}"))?;
        let request = get(Method::GET, url, of, None, time);
        checked(self.fetch(&request, most).await?, digest, &request.url)
    }

    async fn fetch(&self, request: &Request<'_>, most: u64) -> Result<Vec<u8>, RegistryError> {
        let answer = self.send(request).await?;
        if answer.status() != StatusCode::OK {
            return Err(unexpected(request.of, &request.url, answer).await);
        }
        body::read(answer, &shown(&request.url), most).await
    }
}

fn get<'a>(method: Method, url: Url, of: &'a Reference, accept: Option<&'static str>, time: Duration) -> Request<'a> {
    let mut headers = HeaderMap::new();
    headers.extend(accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))));
    Request { method, url, headers, body: Bytes::new(), of, action: Action::Pull, time }
}

fn checked(bytes: Vec<u8>, wanted: &str, url: &Url) -> Result<Vec<u8>, RegistryError> {
    let found = digest_of(&bytes);
    if found == wanted {
        return Ok(bytes);
    }
    Err(RegistryError::Digest { url: shown(url), wanted: wanted.to_owned(), found })
}

/// The digest of these bytes as registries write it.
pub(super) fn digest_of(bytes: &[u8]) -> String {
    format!("sha256:{}", pgq_trust::sha256(bytes))
}
