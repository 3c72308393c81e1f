//! sigstore's bundles, which `cosign sign-blob --bundle` writes: JSON with a signature of the bytes
//! themselves. What else is in them, certificates and entries of a log, is not looked at.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::Value;

/// What the media types of all releases of the format begin with.
const KIND: &str = "application/vnd.dev.sigstore.bundle";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    message_signature: Option<MessageSignature>,
}

#[derive(Deserialize)]
struct MessageSignature {
    signature: String,
}

/// Whether the document says that it is one.
pub(super) fn is_bundle(document: &Value) -> bool {
    document["mediaType"].as_str().is_some_and(|kind| kind.starts_with(KIND))
}

/// The signature in it.
pub(super) fn signature(document: Value) -> Result<Vec<u8>, String> {
    let bundle: Bundle = serde_json::from_value(document).map_err(|error| error.to_string())?;
    let Some(message) = bundle.message_signature else {
        return Err("it is a bundle with an attestation and no signature of the file".into());
    };
    STANDARD.decode(message.signature).map_err(|_| "the signature in the bundle is not base64".into())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_signature_of_the_file_is_taken_and_nothing_else() {
        let media = "application/vnd.dev.sigstore.bundle.v0.3+json";
        let of = |signature: &str| {
            json!({
                "mediaType": media,
                "verificationMaterial": { "publicKey": { "hint": "x" }, "tlogEntries": [] },
                "messageSignature": { "messageDigest": { "algorithm": "SHA2_256", "digest": "" }, "signature": signature },
            })
        };
        assert!(is_bundle(&of("AQID")));
        assert_eq!(signature(of("AQID")), Ok(vec![1, 2, 3]));
        assert!(signature(of("?")).is_err_and(|error| error.contains("base64")));
        let attested = json!({ "mediaType": media, "dsseEnvelope": {} });
        assert!(signature(attested).is_err_and(|error| error.contains("attestation")));
        for other in [json!({ "signature": "a" }), json!({ "mediaType": 1 }), json!([]), Value::Null] {
            assert!(!is_bundle(&other), "{other}");
        }
    }
}
