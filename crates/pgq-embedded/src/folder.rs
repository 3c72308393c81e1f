//! The data folder and its layout.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::EmbeddedError;
use super::fallback_dir;
use super::lock::Lock;
use super::user::ServerUser;

/// The longest path of a socket: `sun_path` without its NUL, on Linux and on the BSDs (macOS).
const SOCKET_PATH_MAX: usize = if cfg!(target_os = "linux") { 107 } else { 103 };

/// An open folder. No other process has it open: the kernel releases the lock when the process
/// ends, for whatever reason.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    lock: Lock,
}

impl Folder {
    /// Create or find the folder, or its fallback if the server's user cannot enter it, and lock
    /// it.
    pub(super) fn open(wanted: &Path) -> Result<(Self, ServerUser), EmbeddedError> {
        fs::create_dir_all(wanted).map_err(EmbeddedError::io("create the data folder", wanted))?;
        let path = wanted.canonicalize().map_err(EmbeddedError::io("find the data folder", wanted))?;
        let mut user = ServerUser::choose(&[&path.join("data"), &path]);
        let path = match fallback_dir::ensure_access(&path, &user) {
            Ok(()) => path,
            Err(reason) if path.join("data/PG_VERSION").exists() || !user.is_switched() => {
                return Err(EmbeddedError::Folder { path, reason });
            }
            Err(reason) => {
                let other = fallback_dir::of(&path)?;
                user = ServerUser::choose(&[&other.join("data")]);
                tracing::warn!(wanted = %path.display(), data_dir = %other.display(), reason, "the embedded database is in another folder");
                other
            }
        };
        let lock = Lock::take(&path)?;
        let ignore = path.join(".gitignore");
        if !ignore.exists() {
            fs::write(&ignore, "*\n").map_err(EmbeddedError::io("write", &ignore))?;
        }
        Ok((Self { path, lock }, user))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// PostgreSQL's own folder.
    pub(super) fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.path.join("server.log")
    }

    pub(super) fn password_file(&self) -> PathBuf {
        self.path.join("password")
    }

    /// The process that had the folder before us, if it recorded its id.
    pub(super) fn previous_holder(&self) -> Option<i32> {
        self.lock.previous_holder
    }

    /// The superuser's password. `true` if it was created just now, so that no existing database
    /// knows it.
    pub(super) fn password(&self) -> Result<(String, bool), EmbeddedError> {
        let file = self.password_file();
        match fs::read_to_string(&file) {
            // A shorter text was truncated by a crash.
            Ok(text) if text.trim().len() == 64 => return Ok((text.trim().to_owned(), false)),
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(EmbeddedError::io("read", &file)(error)),
        }
        // UUIDs come from the operating system's source of randomness, unlike fastrand.
        let password = format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple());
        let new = file.with_extension("new");
        let write = || {
            let mut out = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            out.write_all(password.as_bytes())?;
            out.sync_all()?;
            fs::rename(&new, &file)
        };
        write().map_err(EmbeddedError::io("write", &file))?;
        Ok((password, true))
    }

    /// The port of the last run, so that yesterday's `psql` command still works.
    pub(super) fn last_port(&self) -> Option<u16> {
        fs::read_to_string(self.path.join("port")).ok()?.trim().parse().ok()
    }

    pub(super) fn keep_port(&self, port: u16) {
        if self.last_port() != Some(port) {
            // Only a convenience: without it, the next run chooses another port.
            let _ = fs::write(self.path.join("port"), format!("{port}\n"));
        }
    }

    /// The value of `unix_socket_directories`: the data folder (which only the server's user can
    /// enter), or none if its path is too long for a socket or would need quoting.
    pub(super) fn socket_folder(&self) -> String {
        let data = self.data();
        let plain = |path: &&str| path.chars().all(|c| c.is_alphanumeric() || "/._-".contains(c));
        data.to_str().filter(socket_fits).filter(plain).unwrap_or_default().to_owned()
    }
}

fn socket_fits(folder: &&str) -> bool {
    folder.len() + "/.s.PGSQL.65535".len() <= SOCKET_PATH_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_needs_a_short_path() {
        let longest = "x".repeat(SOCKET_PATH_MAX - "/.s.PGSQL.65535".len());
        assert!(socket_fits(&longest.as_str()));
        assert!(!socket_fits(&format!("{longest}x").as_str()));
    }
}
