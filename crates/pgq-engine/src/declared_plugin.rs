//! Checks what a plugin declares about itself: its name, its version, its entrypoints' names and its
//! needs.

use super::needs::Kind;
use super::origin::Origin;
use super::resources::{EntrypointHandle, Registrar};
use crate::printable::cut;
use pgq_job::EntrypointOptions;

const MAX_ENTRYPOINTS: usize = 1_000;
const MAX_NAME_BYTES: usize = 255;
const MAX_PLUGIN_NAME_BYTES: usize = 64;

impl Registrar {
    pub(super) fn name(&self, name: &str) {
        let mut declaration = self.lock();
        let first_ok = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest_ok = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if !first_ok || !rest_ok || name.len() > MAX_PLUGIN_NAME_BYTES {
            declaration
                .mistake(format!("the plugin's name {name:?} is not made of a-z, 0-9, `-` and `_` (64 at most)"));
        }
        declaration.name = Some(cut(name, MAX_PLUGIN_NAME_BYTES).to_owned());
    }

    pub(super) fn version(&self, version: &str) {
        let mut declaration = self.lock();
        if version.is_empty() || version.len() > MAX_PLUGIN_NAME_BYTES || version.contains(char::is_control) {
            declaration.mistake(format!("the plugin's version {version:?} does not have 1 to 64 bytes"));
        }
        declaration.version = Some(cut(version, MAX_PLUGIN_NAME_BYTES).to_owned());
    }

    /// One more entrypoint, with the default options.
    pub(super) fn entrypoint(&self, name: &str) -> EntrypointHandle {
        let mut declaration = self.lock();
        if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
            declaration.mistake(format!("the entrypoint {name:?} does not have 1 to {MAX_NAME_BYTES} bytes"));
        } else if declaration.entrypoints.len() == MAX_ENTRYPOINTS {
            declaration.mistake(format!("more than {MAX_ENTRYPOINTS} entrypoints"));
        } else if declaration.has_room(name.len())
            && declaration.entrypoints.insert(name.to_owned(), EntrypointOptions::default()).is_some()
        {
            declaration.mistake(format!("entrypoint {name:?} is declared twice"));
        }
        // A name that is too long matches no entrypoint, however much of it is kept.
        EntrypointHandle { registrar: self.clone(), name: cut(name, MAX_NAME_BYTES + 1).to_owned() }
    }

    pub(super) fn need(&self, kind: Kind, what: String) {
        let mut declaration = self.lock();
        match kind {
            Kind::Http => match what.parse::<Origin>() {
                Ok(origin) => declaration.need(kind, origin.to_string()),
                Err(mistake) => declaration.mistake(format!("needs-http: {mistake}")),
            },
            _ => declaration.need(kind, what),
        }
    }
}
