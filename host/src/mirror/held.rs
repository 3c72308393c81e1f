//! A component of a registry, with its signatures.

use pgq_registry::{Client, Pulled, Reference, RegistryError};
use pgq_trust::Signatures;

/// What a reference led to.
#[derive(Debug)]
pub struct Content {
    pub pulled: Pulled,
    /// The content of the file beside it. `None`: nobody signed it there.
    pub signatures: Option<String>,
    /// Which signatures these are.
    pub signatures_digest: Option<String>,
}

/// What the reference leads to now.
///
/// # Errors
///
/// Fails if the registry does not answer, or answers other bytes than were asked for.
pub async fn pull(client: &Client, of: &Reference, most: u64) -> Result<Content, RegistryError> {
    let digest = match of.digest() {
        Some(digest) => digest.to_owned(),
        None => client.digest(of).await?,
    };
    let held_in = client.signatures_digest(of, &digest).await?;
    let pulled = client.pull(of, &digest, most).await?;
    let signatures = signatures(client, of, held_in.as_deref(), &pulled.manifest).await?;
    Ok(Content { pulled, signatures, signatures_digest: held_in })
}

/// The content of the file of signatures.
pub(super) async fn signatures(
    client: &Client,
    of: &Reference,
    held_in: Option<&str>,
    manifest: &[u8],
) -> Result<Option<String>, RegistryError> {
    let Some(held_in) = held_in else { return Ok(None) };
    let found = client.signatures(of, held_in, manifest).await?;
    Ok((!found.is_empty()).then(|| Signatures::write(&found)))
}
