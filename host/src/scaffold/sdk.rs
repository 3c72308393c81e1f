//! Where a new plugin has its SDK from: crates.io, or a checkout.

use std::path::{Path, PathBuf};

use serde::Deserialize;

const CRATE: &str = "pgq-plugin-sdk";
/// Its folder in a checkout.
const FOLDER: &str = "plugin-sdk";
/// What speaks this host's contract.
const VERSION: &str = "0.1";

/// The path that was named leads to no SDK.
#[derive(Debug, thiserror::Error)]
#[error("there is no {CRATE} in {}; name the folder {FOLDER} of a checkout of pgq-host, or its parent", .0.display())]
pub struct SdkError(PathBuf);

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// On crates.io.
    Registry,
    /// In this folder, as the plugin's manifest is to have it.
    Path(PathBuf),
}

impl Sdk {
    /// In the checkout that somebody named.
    pub fn at(path: &Path) -> Result<Sdk, SdkError> {
        let folder = [path.join(FOLDER), path.to_owned()].into_iter().find(|folder| is_sdk(folder));
        // Absolute: the plugin may move.
        let folder = folder.and_then(|folder| folder.canonicalize().ok()).ok_or_else(|| SdkError(path.to_owned()))?;
        Ok(Sdk::Path(folder))
    }

    /// In the checkout that the new folder will be in, by a relative path, so that the plugin can be committed there.
    pub fn around(folder: &Path) -> Option<Sdk> {
        let folder = std::path::absolute(folder).ok()?;
        let (depth, root) = folder.ancestors().enumerate().skip(1).find(|(_, root)| is_sdk(&root.join(FOLDER)))?;
        // `a/../b` and links would make the count a lie.
        let there = folder.ancestors().skip(1).find(|parent| parent.exists())?;
        if there.canonicalize().ok()? != *there {
            return Sdk::at(root).ok();
        }
        Some(Sdk::Path(std::iter::repeat_n("..", depth).collect::<PathBuf>().join(FOLDER)))
    }

    /// The right-hand side in Cargo.toml.
    pub(super) fn requirement(&self) -> String {
        match self {
            Sdk::Registry => toml::Value::from(VERSION).to_string(),
            Sdk::Path(path) => format!("{{ path = {} }}", toml::Value::from(path.to_string_lossy().into_owned())),
        }
    }
}

fn is_sdk(folder: &Path) -> bool {
    #[derive(Deserialize)]
    struct Manifest {
        package: Package,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
    }
    let text = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap_or_default();
    toml::from_str(&text).is_ok_and(|manifest: Manifest| manifest.package.name == CRATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checkout_is_found_around_and_named_from_inside() {
        let checkout = tempfile::tempdir().expect("a folder");
        let root = checkout.path().canonicalize().expect("there");
        assert_eq!(Sdk::around(&root.join("plugins/mail")), None);
        assert!(Sdk::at(&root).is_err_and(|error| error.to_string().contains(&root.display().to_string())));

        let sdk = root.join(FOLDER);
        std::fs::create_dir(&sdk).expect("made");
        std::fs::write(sdk.join("Cargo.toml"), "[package]\nname = \"pgq-plugin-sdk\"\n").expect("written");
        let around = Sdk::around(&root.join("plugins/mail")).expect("found");
        assert_eq!(around.requirement(), r#"{ path = "../../plugin-sdk" }"#);
        for named in [&root, &sdk] {
            assert_eq!(Sdk::at(named).expect("found"), Sdk::Path(sdk.clone()));
        }
        assert_eq!(Sdk::Registry.requirement(), r#""0.1""#);
    }
}
