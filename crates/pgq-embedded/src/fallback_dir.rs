//! Where the database is kept if PostgreSQL's user cannot enter the requested folder, such as a
//! project under `/root`, started by root.

use std::fs::{self, Permissions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::error::EmbeddedError;
use super::user::ServerUser;

/// Both survive a reboot.
const FALLBACK_ROOTS: [&str; 2] = ["/var/lib/pgq-host", "/var/tmp/pgq-host"];

/// Make sure that we can write into the folder and that the server's user can enter it. If only the
/// folder's own mode prevents that, change it.
pub(super) fn ensure_access(path: &Path, user: &ServerUser) -> Result<(), String> {
    let meta = fs::metadata(path).map_err(|e| e.to_string())?;
    if !user.is_switched() {
        let me = rustix::process::geteuid().as_raw();
        let data = path.join("data");
        let owner = |path: &Path| fs::metadata(path).map_or(me, |meta| meta.uid());
        if rustix::fs::access(path, rustix::fs::Access::WRITE_OK).is_err() {
            return Err(format!("you (user {me}) cannot write to it; it belongs to user {}", owner(path)));
        }
        // PostgreSQL rejects a data folder that belongs to another user.
        if owner(&data) != me {
            let (owner, path) = (owner(&data), path.display());
            return Err(format!(
                "its database belongs to user {owner} and you are {me}; start as that user or as root, or run: sudo chown -R {me} {path}"
            ));
        }
        return Ok(());
    }
    if user.can_enter(path) {
        return Ok(());
    }
    // This only allows the server's user to pass through. The files in the folder keep their own
    // modes.
    let _ = fs::set_permissions(path, Permissions::from_mode(meta.mode() & 0o7777 | 0o011));
    if user.can_enter(path) {
        return Ok(());
    }
    let _ = fs::set_permissions(path, Permissions::from_mode(meta.mode() & 0o7777));
    let mut above: Vec<_> = path.ancestors().collect();
    above.reverse();
    let closed = above.into_iter().find(|part| !user.can_enter(part)).unwrap_or(path);
    Err(format!(
        "PostgreSQL does not run as root, and user {} cannot enter {}; run: chmod o+x {}",
        user.name(),
        closed.display(),
        closed.display()
    ))
}

/// The fallback for a folder: the same for every run, and protected from other users who may write
/// beside it.
pub(super) fn of(path: &Path) -> Result<PathBuf, EmbeddedError> {
    let digest = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let name: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut reason = String::new();
    for base in FALLBACK_ROOTS.map(Path::new) {
        let folder = base.join(&name);
        match make_private(base).and_then(|()| make_private(&folder)) {
            Ok(()) => return Ok(folder),
            Err(error) => reason = format!("{}: {error}", folder.display()),
        }
    }
    Err(EmbeddedError::Folder {
        path: path.to_owned(),
        reason: format!("and its fallback cannot be created ({reason}); choose another data folder"),
    })
}

/// Create a folder that only we can write to. An existing one must belong to us and must not be a
/// link.
fn make_private(folder: &Path) -> std::io::Result<()> {
    match fs::DirBuilder::new().mode(0o711).create(folder) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let meta = fs::symlink_metadata(folder)?;
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if meta.is_dir() && ours && meta.mode() & 0o022 == 0 {
        // The umask may have removed the bits that let the server's user pass through.
        return fs::set_permissions(folder, Permissions::from_mode(meta.mode() & 0o7777 | 0o011));
    }
    Err(std::io::Error::other("it belongs to another user, or others can write to it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_others_can_write_to_is_no_stand_in() {
        let home = tempfile::tempdir().expect("a folder");
        let open = home.path().join("open");
        fs::create_dir(&open).expect("a folder");
        fs::set_permissions(&open, Permissions::from_mode(0o777)).expect("a mode");
        assert!(make_private(&open).is_err());
        let link = home.path().join("link");
        std::os::unix::fs::symlink(home.path(), &link).expect("a link");
        assert!(make_private(&link).is_err());
        assert!(make_private(&home.path().join("new")).is_ok());
    }
}
