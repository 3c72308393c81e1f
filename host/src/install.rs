//! Installs a component into the folder of plugins so that it appears whole or not at all.

use std::fs::Permissions;
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub struct Installed {
    pub path: PathBuf,
    /// The file already had the same bytes and was not touched.
    pub unchanged: bool,
}

/// Copy the component into the folder under its own name. The folder is created if it is missing.
///
/// # Errors
///
/// Fails if the component cannot be read or the folder cannot be written.
pub fn install(component: &Path, folder: &Path) -> io::Result<Installed> {
    std::fs::create_dir_all(folder)?;
    let name =
        component.file_name().ok_or_else(|| io::Error::other("the component's path does not end with a file name"))?;
    let (path, bytes) = (folder.join(name), std::fs::read(component)?);
    if std::fs::read(&path).is_ok_and(|there| there == bytes) {
        return Ok(Installed { path, unchanged: true });
    }
    write_whole(&path, &bytes)?;
    Ok(Installed { path, unchanged: false })
}

/// Write a file that appears whole or not at all.
///
/// # Errors
///
/// Fails if its folder cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // Hidden and without `.wasm` at its end, so that hosts ignore the file until it is renamed.
    // Readable by whichever user hosts run as, within the umask.
    let mut file = tempfile::Builder::new()
        .prefix(".")
        .suffix(".part")
        .permissions(Permissions::from_mode(0o666))
        .tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_installed_whole_and_once() {
        let folder = tempfile::tempdir().expect("a folder");
        let (component, plugins) = (folder.path().join("a.wasm"), folder.path().join("plugins"));
        std::fs::write(&component, b"one").expect("written");
        let first = install(&component, &plugins).expect("installed");
        assert_eq!((first.path.clone(), first.unchanged), (plugins.join("a.wasm"), false));
        assert!(install(&component, &plugins).expect("installed").unchanged);
        std::fs::write(&component, b"two").expect("written");
        assert!(!install(&component, &plugins).expect("installed").unchanged);
        assert_eq!(std::fs::read(first.path).expect("there"), b"two");
        assert_eq!(std::fs::read_dir(plugins).expect("there").count(), 1, "nothing is left beside it");
    }
}
