//! Manifests: what a registry says of a component, in the format of the CNCF's "Wasm OCI Artifact".

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::error::RegistryError;
use super::reference::is_digest;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEXES: [&str; 2] =
    ["application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"];
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const WASM: &str = "application/wasm";
/// What older tools call the same.
const OLDER: [&str; 2] =
    ["application/vnd.wasm.content.layer.v1+wasm", "application/vnd.module.wasm.content.layer.v1+wasm"];

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    pub(super) digest: String,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) annotations: BTreeMap<String, String>,
}

/// What the artifact's config says of a component.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WasmConfig {
    pub created: DateTime<Utc>,
    architecture: &'static str,
    os: &'static str,
    layer_digests: Vec<String>,
    component: Interfaces,
}

#[derive(Debug, Clone, Serialize)]
struct Interfaces {
    exports: Vec<String>,
    imports: Vec<String>,
    target: Option<String>,
}

impl WasmConfig {
    /// Of a component with these interfaces.
    pub fn new(created: DateTime<Utc>, imports: Vec<String>, exports: Vec<String>) -> WasmConfig {
        let component = Interfaces { exports, imports, target: None };
        WasmConfig { created, architecture: "wasm", os: "wasip2", layer_digests: Vec::new(), component }
    }

    pub(super) fn of_layer(mut self, digest: &str) -> WasmConfig {
        self.layer_digests = vec![digest.to_owned()];
        self
    }
}

impl Descriptor {
    pub(super) fn new(media_type: &str, bytes: &[u8]) -> Descriptor {
        let digest = format!("sha256:{}", pgq_trust::sha256(bytes));
        Descriptor { media_type: media_type.to_owned(), digest, size: bytes.len() as u64, annotations: BTreeMap::new() }
    }
}

impl Manifest {
    /// The manifest of a component with this config.
    pub(super) fn of_component(config: &[u8], component: &[u8], annotations: BTreeMap<String, String>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.into()),
            config: Descriptor::new(CONFIG, config),
            layers: vec![Descriptor::new(WASM, component)],
            annotations,
        }
    }

    pub(super) fn read(what: &str, bytes: &[u8]) -> Result<Manifest, RegistryError> {
        let wrong = |cause: String| RegistryError::Format { what: what.to_owned(), cause };
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Kind {
            media_type: Option<String>,
        }
        let kind: Kind =
            serde_json::from_slice(bytes).map_err(|error| wrong(format!("its manifest is not JSON: {error}")))?;
        if kind.media_type.as_deref().is_some_and(|kind| INDEXES.contains(&kind)) {
            return Err(wrong("it is an index of several images; name the digest of one of them".into()));
        }
        serde_json::from_slice(bytes).map_err(|error| wrong(format!("its manifest is not one of OCI: {error}")))
    }

    /// The layer that is the component.
    pub(super) fn component(&self, what: &str) -> Result<&Descriptor, RegistryError> {
        let wrong = |cause: String| RegistryError::Format { what: what.to_owned(), cause };
        let [layer] = &self.layers[..] else {
            return Err(wrong(format!(
                "it has {} layers, and a component is the only one; push it with `pgq-host plugin push` or wkg",
                self.layers.len()
            )));
        };
        if layer.media_type != WASM && !OLDER.contains(&&*layer.media_type) {
            let kind: String = layer.media_type.chars().take(80).collect();
            return Err(wrong(format!("its layer is {kind:?} and not {WASM}; it is no component")));
        }
        if !is_digest(&layer.digest) {
            return Err(wrong("its layer has no sha256 digest".into()));
        }
        Ok(layer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_single_component_is_refused_with_what_it_is() {
        let of = |kind: &str, layers: usize| {
            let layer = Descriptor { media_type: kind.into(), ..Descriptor::new(WASM, b"x") };
            let manifest =
                Manifest { layers: vec![layer; layers], ..Manifest::of_component(b"{}", b"x", BTreeMap::new()) };
            let bytes = serde_json::to_vec(&manifest).expect("JSON");
            Manifest::read("r/a", &bytes).and_then(|manifest| manifest.component("r/a").map(|layer| layer.size))
        };
        assert_eq!(of(WASM, 1).ok(), Some(1));
        assert_eq!(of(OLDER[0], 1).ok(), Some(1));
        assert!(of(WASM, 2).expect_err("two").to_string().contains("2 layers"));
        assert!(
            of("application/vnd.oci.image.layer.v1.tar+gzip", 1).expect_err("tar").to_string().contains("tar+gzip")
        );
        let index = format!("{{\"schemaVersion\":2,\"mediaType\":{:?},\"manifests\":[]}}", INDEXES[0]);
        assert!(Manifest::read("r/a", index.as_bytes()).expect_err("an index").to_string().contains("index"));
    }
}
