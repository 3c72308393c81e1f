//! Signatures where `cosign sign` puts them: under the tag `sha256-DIGEST.sig` of the same name.

use std::collections::BTreeMap;

use pgq_trust::{Envelope, PrivateKey};

use super::client::Client;
use super::error::RegistryError;
use super::limits;
use super::manifest::{Descriptor, Manifest};
use super::pull::digest_of;
use super::reference::{Reference, is_digest};

const SIMPLE_SIGNING: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";

impl Client {
    /// The digest of what holds the signatures of this manifest. `None` if there is nothing.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not say.
    pub async fn signatures_digest(&self, of: &Reference, digest: &str) -> Result<Option<String>, RegistryError> {
        match self.digest(&tag(of, digest)).await {
            Ok(digest) => Ok(Some(digest)),
            Err(RegistryError::NotFound(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The signatures of this manifest, by whomever: they are checked by who asks. What is damaged is left out.
    ///
    /// # Errors
    ///
    /// Fails if they cannot be fetched.
    pub async fn signatures(
        &self,
        of: &Reference,
        held_in: &str,
        manifest: &[u8],
    ) -> Result<Vec<Envelope>, RegistryError> {
        let at = of.with_digest(held_in);
        let signatures = Manifest::read(&at.to_string(), &self.manifest(&at).await?)?;
        let mut found = Vec::new();
        for layer in
            signatures.layers.iter().filter(|layer| layer.media_type == SIMPLE_SIGNING).take(limits::SIGNATURES)
        {
            let Some(signature) = layer.annotations.get(SIGNATURE) else { continue };
            if !is_digest(&layer.digest) || signature.len() as u64 > limits::PAYLOAD_BYTES {
                continue;
            }
            let payload = self.blob(of, &layer.digest, limits::PAYLOAD_BYTES, limits::SMALL).await?;
            found.push(Envelope::new(signature, &payload, manifest));
        }
        Ok(found)
    }

    /// Sign the manifest with this key, beside the signatures that are there.
    ///
    /// # Errors
    ///
    /// Fails if the registry does not take it.
    pub async fn sign(&self, of: &Reference, manifest: &[u8], key: &PrivateKey) -> Result<(), RegistryError> {
        let digest = digest_of(manifest);
        let (at, payload) = (tag(of, &digest), pgq_trust::payload(&of.plain_name(), &digest));
        let signature = key
            .sign(&payload)
            .map_err(|error| RegistryError::Format { what: "the key".into(), cause: error.to_string() })?;
        let mut layers = match self.manifest(&at).await {
            Ok(there) => Manifest::read(&at.to_string(), &there)?.layers,
            Err(RegistryError::NotFound(_)) => Vec::new(),
            Err(error) => return Err(error),
        };
        let mut layer = Descriptor::new(SIMPLE_SIGNING, &payload);
        layer.annotations = BTreeMap::from([(SIGNATURE.to_owned(), signature)]);
        layers.push(layer);
        // cosign keeps an image's config here, which nobody reads.
        let digests: Vec<&str> = layers.iter().map(|layer| &*layer.digest).collect();
        let config = serde_json::json!({
            "architecture": "", "os": "", "config": {}, "rootfs": { "type": "layers", "diff_ids": digests },
        });
        let config = config.to_string().into_bytes();
        let mut holder = Manifest::of_component(&config, &payload, BTreeMap::new());
        (holder.config, holder.layers) = (Descriptor::new(CONFIG, &config), layers);
        self.push_blob(&at, payload).await?;
        self.push_blob(&at, config).await?;
        self.push_manifest(&at, &holder).await.map(drop)
    }
}

fn tag(of: &Reference, digest: &str) -> Reference {
    of.with_tag(format!("{}.sig", digest.replace(':', "-")))
}
