//! Signatures in a registry: cosign signs a small JSON document, the payload, which names the digest
//! of a manifest, and the manifest names the digest of the component.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::digest::sha256;
use super::public_key::PublicKey;

/// The type that the payload has.
const PAYLOAD_TYPE: &str = "cosign container image signature";

/// All that leads from a signature in a registry to the bytes of a component. Everything in it is
/// checked, so it may come from anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Envelope {
    /// The signature of the payload, in base64.
    pub signature: String,
    /// The signed document, in base64.
    pub payload: String,
    /// The manifest that it names, in base64.
    pub manifest: String,
}

#[derive(Deserialize)]
struct Payload {
    critical: Critical,
}

#[derive(Deserialize)]
struct Critical {
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    digest: String,
}

/// The document that is signed for a manifest of this digest.
pub fn payload(reference: &str, manifest_digest: &str) -> Vec<u8> {
    let document: Value = json!({
        "critical": {
            "identity": { "docker-reference": reference },
            "image": { "docker-manifest-digest": manifest_digest },
            "type": PAYLOAD_TYPE,
        },
        "optional": null,
    });
    document.to_string().into_bytes()
}

impl Envelope {
    pub fn new(signature: &str, payload: &[u8], manifest: &[u8]) -> Envelope {
        Envelope {
            signature: signature.trim().to_owned(),
            payload: STANDARD.encode(payload),
            manifest: STANDARD.encode(manifest),
        }
    }

    /// Whether the key signed a payload that leads to a component of this digest and to no other.
    pub(super) fn leads_to(&self, key: &PublicKey, component: &str) -> bool {
        let decode = |text: &str| STANDARD.decode(text).ok();
        let (Some(signature), Some(payload), Some(manifest)) =
            (decode(&self.signature), decode(&self.payload), decode(&self.manifest))
        else {
            return false;
        };
        // First the signature: nothing is parsed that nobody vouches for.
        key.has_signed(&payload, &signature)
            && serde_json::from_slice::<Payload>(&payload).is_ok_and(|Payload { critical }| {
                critical.kind == PAYLOAD_TYPE && critical.image.digest == format!("sha256:{}", sha256(&manifest))
            })
            && serde_json::from_slice::<Manifest>(&manifest).is_ok_and(
                |manifest| matches!(&manifest.layers[..], [layer] if layer.digest == format!("sha256:{component}")),
            )
    }
}
