//! Pushes components, and whatever else a registry keeps beside them.

use std::collections::BTreeMap;

use bytes::Bytes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderValue, LOCATION};
use reqwest::{Method, StatusCode, Url};

use super::client::{Client, Request, shown, unexpected};
use super::error::RegistryError;
use super::limits;
use super::manifest::{MANIFEST, Manifest, WasmConfig};
use super::pull::digest_of;
use super::reference::Reference;
use super::token::Action;

impl Client {
    /// Push a component under the reference's tag. Returns its manifest.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not take it.
    pub async fn push(
        &self,
        to: &Reference,
        component: Vec<u8>,
        config: WasmConfig,
        annotations: BTreeMap<String, String>,
    ) -> Result<Vec<u8>, RegistryError> {
        if to.digest().is_some() {
            let text = format!("{to} names a digest, which follows from what is pushed; name a tag alone");
            return Err(RegistryError::Reference(text));
        }
        let config = json(&config.of_layer(&digest_of(&component)))?;
        let manifest = Manifest::of_component(&config, &component, annotations);
        self.push_blob(to, component).await?;
        self.push_blob(to, config).await?;
        self.push_manifest(to, &manifest).await
    }

    /// Put these bytes there, unless they are there.
    pub(super) async fn push_blob(&self, to: &Reference, bytes: Vec<u8>) -> Result<(), RegistryError> {
        let digest = digest_of(&bytes);
        let there = request(Method::HEAD, self.url(to, &format!("blobs/{digest}"))?, to, None, Bytes::new());
        if self.send(&there).await?.status() == StatusCode::OK {
            return Ok(());
        }
        let begin = request(Method::POST, self.url(to, "blobs/uploads/")?, to, None, Bytes::new());
        let answer = self.send(&begin).await?;
        if answer.status() != StatusCode::ACCEPTED {
            return Err(unexpected(to, &begin.url, answer).await);
        }
        let place = answer.headers().get(LOCATION).and_then(|place| place.to_str().ok());
        let place = place.and_then(|place| begin.url.join(place).ok());
        let mut place = place.ok_or_else(|| RegistryError::Format {
            what: shown(&begin.url),
            cause: "it does not say where to upload to".into(),
        })?;
        // The bytes are no secret, but the credentials that go with them are.
        if !self.allows(&place) || place.host_str() != begin.url.host_str() {
            return Err(RegistryError::Format {
                what: shown(&begin.url),
                cause: format!("it wants an upload to another server, {}", shown(&place)),
            });
        }
        place.query_pairs_mut().append_pair("digest", &digest);
        let upload = request(Method::PUT, place, to, Some("application/octet-stream"), bytes.into());
        let answer = self.send(&upload).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(()),
            _ => Err(unexpected(to, &upload.url, answer).await),
        }
    }

    /// Let the reference's tag lead to this manifest. Returns its bytes.
    pub(super) async fn push_manifest(&self, to: &Reference, manifest: &Manifest) -> Result<Vec<u8>, RegistryError> {
        let bytes = json(manifest)?;
        let url = self.url(to, &format!("manifests/{}", to.asked()))?;
        let put = request(Method::PUT, url, to, Some(MANIFEST), bytes.clone().into());
        let answer = self.send(&put).await?;
        match answer.status() {
            StatusCode::CREATED => Ok(bytes),
            _ => Err(unexpected(to, &put.url, answer).await),
        }
    }
}

fn request<'a>(method: Method, url: Url, to: &'a Reference, kind: Option<&'static str>, body: Bytes) -> Request<'a> {
    let mut headers = HeaderMap::new();
    headers.extend(kind.map(|kind| (CONTENT_TYPE, HeaderValue::from_static(kind))));
    Request { method, url, headers, body, of: to, action: Action::Push, time: limits::LARGE }
}

fn json<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, RegistryError> {
    serde_json::to_vec(value)
        .map_err(|error| RegistryError::Format { what: "a document".into(), cause: error.to_string() })
}
