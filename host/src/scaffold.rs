//! Creates a new plugin's crate from the files under `scaffold/template`.

mod name;
mod sdk;

use std::io;
use std::path::{Path, PathBuf};

pub use name::{NameError, PluginName};
pub use sdk::{Sdk, SdkError};

/// The path of each file, and its text before the placeholders are filled in.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("scaffold/template/Cargo.toml.in")),
    ("src/lib.rs", include_str!("scaffold/template/lib.rs")),
    ("README.md", include_str!("scaffold/template/README.md")),
    ("payload.json", include_str!("scaffold/template/payload.json")),
    ("rust-toolchain.toml", include_str!("scaffold/template/rust-toolchain.toml")),
    (".cargo/config.toml", include_str!("scaffold/template/cargo-config.toml")),
    (".gitignore", include_str!("scaffold/template/gitignore")),
];

/// Why no crate was created. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// What exists stays untouched.
    #[error("{} already exists; choose another name, or another folder with --path", .0.display())]
    Exists(PathBuf),
    /// Such as a full disk, or a missing permission.
    #[error("cannot create {}: {source}; choose another folder with --path", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Create the crate in `folder`, which must not exist yet: all files, or nothing.
///
/// # Errors
///
/// Fails if the folder exists or cannot be written.
pub fn write(folder: &Path, name: &PluginName, sdk: &Sdk) -> Result<(), ScaffoldError> {
    let failed = |source| ScaffoldError::Io { path: folder.to_owned(), source };
    if folder.symlink_metadata().is_ok() {
        return Err(ScaffoldError::Exists(folder.to_owned()));
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed)?;
    // Written to a temporary folder and then renamed, so that the crate appears whole or not at
    // all.
    let draft = tempfile::Builder::new().prefix(".pgq-host-new-").tempdir_in(parent).map_err(failed)?;
    let crate_files = FILES.into_iter().map(|(path, text)| {
        let text =
            text.replace("{{name}}", name).replace("{{file}}", &name.file()).replace("{{sdk}}", &sdk.requirement());
        (PathBuf::from(path), text)
    });
    let vendored = (*sdk == Sdk::Vendored).then(sdk::files).into_iter().flatten();
    let vendored = vendored.map(|(path, text)| (Path::new(sdk::VENDORED).join(path), text));
    for (path, text) in crate_files.chain(vendored) {
        let path = draft.path().join(path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, text))
            .map_err(failed)?;
    }
    // Temporary folders are private, but a crate follows the umask.
    std::fs::create_dir(folder).map_err(failed)?;
    let mode = std::fs::metadata(folder).map_err(failed)?.permissions();
    std::fs::set_permissions(draft.path(), mode).map_err(failed)?;
    std::fs::rename(draft.path(), folder).map_err(failed)?;
    // The folder was renamed, so there is nothing to clean up.
    let _ = draft.keep();
    Ok(())
}
