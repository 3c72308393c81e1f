//! Where a new plugin gets its SDK: from a checkout, or from this binary.

use std::path::{Path, PathBuf};

use serde::Deserialize;

const CRATE: &str = "pgq-plugin-sdk";
/// The SDK's folder in a checkout.
const FOLDER: &str = "plugin-sdk";
/// The SDK's folder in a plugin that has its own copy.
pub(super) const VENDORED: &str = "vendor/pgq-plugin-sdk";

/// The SDK that this binary was built with, so that a plugin can be created wherever the binary is:
/// paths in [`VENDORED`], and texts. The manifest in the checkout inherits from a workspace; this
/// one stands alone.
pub(super) fn files() -> impl Iterator<Item = (&'static str, String)> {
    const FILES: &[(&str, &str)] = &include!(concat!(env!("OUT_DIR"), "/sdk_files.rs"));
    let manifest = include_str!("sdk/Cargo.toml.in").replace("{{version}}", env!("CARGO_PKG_VERSION"));
    FILES.iter().map(|(path, text)| (*path, (*text).to_owned())).chain([("Cargo.toml", manifest)])
}

/// The given path has no SDK.
#[derive(Debug, thiserror::Error)]
#[error("there is no {CRATE} in {}; name the folder {FOLDER} of a checkout of pgq-host, or its parent", .0.display())]
pub struct SdkError(PathBuf);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sdk {
    /// In the plugin itself, written from this binary.
    Vendored,
    /// In this folder, as the plugin's manifest should name it.
    Path(PathBuf),
}

impl Sdk {
    /// The SDK in the checkout that the user named.
    ///
    /// # Errors
    ///
    /// Fails if there is no SDK.
    pub fn at(path: &Path) -> Result<Sdk, SdkError> {
        let folder = [path.join(FOLDER), path.to_owned()].into_iter().find(|folder| is_sdk(folder));
        // Absolute, because the plugin may move.
        let folder = folder.and_then(|folder| folder.canonicalize().ok()).ok_or_else(|| SdkError(path.to_owned()))?;
        Ok(Sdk::Path(folder))
    }

    /// The SDK of the checkout that will contain the new folder, by a relative path, so that the
    /// plugin can be committed there.
    pub fn around(folder: &Path) -> Option<Sdk> {
        let folder = std::path::absolute(folder).ok()?;
        let (depth, root) = folder.ancestors().enumerate().skip(1).find(|(_, root)| is_sdk(&root.join(FOLDER)))?;
        // Counting folders is only correct without `..` and symlinks.
        let there = folder.ancestors().skip(1).find(|parent| parent.exists())?;
        if there.canonicalize().ok()? != *there {
            return Sdk::at(root).ok();
        }
        Some(Sdk::Path(std::iter::repeat_n("..", depth).collect::<PathBuf>().join(FOLDER)))
    }

    /// Its folder, as the plugin's manifest names it.
    pub fn path(&self) -> &Path {
        match self {
            Sdk::Vendored => Path::new(VENDORED),
            Sdk::Path(path) => path,
        }
    }

    /// The right-hand side in Cargo.toml.
    pub(super) fn requirement(&self) -> String {
        format!("{{ path = {} }}", toml::Value::from(self.path().to_string_lossy().into_owned()))
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
        assert_eq!(Sdk::Vendored.requirement(), r#"{ path = "vendor/pgq-plugin-sdk" }"#);
    }
    #[test]
    fn the_sdk_in_this_binary_is_the_checkouts() {
        let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a checkout");
        let theirs = |path: &str| std::fs::read_to_string(checkout.join(path)).expect("there");
        let toml = |text: &str| toml::from_str::<toml::Table>(text).expect("TOML");
        let (workspace, sdk) = (toml(&theirs("Cargo.toml")), toml(&theirs("plugin-sdk/Cargo.toml")));
        let mut manifest = None;
        for (path, text) in files() {
            match path {
                "Cargo.toml" => manifest = Some(toml(&text)),
                "LICENSE-MIT" | "LICENSE-APACHE" => assert_eq!(text, theirs(path)),
                _ => assert_eq!(text, theirs(&format!("plugin-sdk/{path}")), "{path}"),
            }
        }
        let count = |folder: &str| files().filter(|(path, _)| path.starts_with(folder)).count();
        assert!(count("src/") >= 15 && count("wit/") >= 5);
        // The vendored manifest must spell out what the original inherits.
        let manifest = manifest.expect("a manifest");
        let inherited = |from: &toml::Table, section: &str, name: &str| from[section][name].clone();
        let declared = sdk["dependencies"].as_table().expect("a table").iter();
        // Those behind a feature are not brought along.
        let declared = declared.filter(|(_, one)| one.get("optional").is_none()).map(|(name, _)| name);
        let ours = manifest["dependencies"].as_table().expect("a table");
        assert_eq!(ours.keys().collect::<Vec<_>>(), declared.collect::<Vec<_>>());
        for (name, dependency) in ours {
            let shared = workspace["workspace"]["dependencies"][name].clone();
            // The host may enable more features of a crate than the SDK, but must use the same
            // version.
            let version = |value: &toml::Value| value.get("version").unwrap_or(value).clone();
            assert_eq!(version(dependency), version(&shared), "{name}");
        }
        for key in ["name", "rust-version", "description"] {
            assert_eq!(inherited(&manifest, "package", key), inherited(&sdk, "package", key));
        }
        for key in ["version", "edition", "license", "repository"] {
            assert_eq!(manifest["package"][key], workspace["workspace"]["package"][key]);
        }
    }
}
