//! Where plugins come from: a folder, or a registry.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use pgq_registry::{Reference, RegistryError};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    Registry(Reference),
}

impl FromStr for Location {
    type Err = RegistryError;

    fn from_str(text: &str) -> Result<Location, RegistryError> {
        match Reference::is(text) {
            true => text.parse().map(Location::Registry),
            false => Ok(Location::Folder(text.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Location::Folder(path) => write!(f, "{}", path.display()),
            Location::Registry(reference) => write!(f, "{reference}"),
        }
    }
}
