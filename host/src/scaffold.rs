//! Creates a new plugin's folder from the files of its language's template: `scaffold/template` for
//! Rust, `scaffold/python` and so on for the others.

mod language;
mod name;
mod sdk;

use std::io;
use std::path::{Path, PathBuf};

pub use language::Language;
pub use name::{NameError, PluginName};
pub use sdk::{Sdk, SdkError};

/// Why no folder was created. Nothing is left behind.
#[derive(Debug, thiserror::Error)]
pub enum ScaffoldError {
    /// What exists stays untouched.
    #[error("{} already exists; choose another name, or another folder with --path", .0.display())]
    Exists(PathBuf),
    /// Such as a full disk, or a missing permission.
    #[error("cannot create {}: {source}; choose another folder with --path", path.display())]
    Io { path: PathBuf, source: io::Error },
}

/// Create the plugin in `folder`, which must not exist yet: all files, or nothing. `sdk` is Rust's; the
/// other languages have theirs from this binary.
///
/// # Errors
///
/// Fails if the folder exists or cannot be written.
pub fn write(folder: &Path, name: &PluginName, language: Language, sdk: &Sdk) -> Result<(), ScaffoldError> {
    let failed = |source| ScaffoldError::Io { path: folder.to_owned(), source };
    if folder.symlink_metadata().is_ok() {
        return Err(ScaffoldError::Exists(folder.to_owned()));
    }
    let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).map_err(failed)?;
    // Written to a temporary folder and then renamed, so that the crate appears whole or not at
    // all.
    let draft = tempfile::Builder::new().prefix(".pgq-host-new-").tempdir_in(parent).map_err(failed)?;
    let template = language.template().iter().map(|(path, bytes)| {
        let text = String::from_utf8_lossy(bytes);
        let text =
            text.replace("{{name}}", name).replace("{{file}}", &name.file()).replace("{{sdk}}", &sdk.requirement());
        (PathBuf::from(path), text.into_bytes())
    });
    let vendored = language.vendored().map(|(path, bytes)| (PathBuf::from(path), bytes.to_vec()));
    let crate_sdk = (language == Language::Rust && *sdk == Sdk::Vendored).then(sdk::files).into_iter().flatten();
    let crate_sdk = crate_sdk.map(|(path, text)| (Path::new(sdk::VENDORED).join(path), text.into_bytes()));
    for (path, bytes) in template.chain(vendored).chain(crate_sdk) {
        let path = draft.path().join(path);
        path.parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .and_then(|()| std::fs::write(&path, bytes))
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
