//! The lock that gives a folder to one process at a time. The kernel releases it when the process
//! ends, for whatever reason.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::EmbeddedError;

/// Held until it is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    /// The process that had the lock before us, if it recorded its id.
    pub(super) previous_holder: Option<i32>,
    file: File,
}

/// A child that is just being started has the open file, too, until it runs its program. Closing ours
/// would leave the lock with it for that long.
impl Drop for Lock {
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

impl Lock {
    /// Lock the folder, or report the process that has it.
    pub(super) fn take(path: &Path) -> Result<Self, EmbeddedError> {
        let name = path.join("lock");
        let doing = || EmbeddedError::io("lock", &name);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&name)
            .map_err(doing())?;
        let mut text = String::new();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // The holder may not have written its id yet.
                let _ = file.read_to_string(&mut text);
                let pid = if text.trim().is_empty() { "(unknown)" } else { text.trim() };
                return Err(EmbeddedError::InUse { data_dir: path.to_owned(), pid: pid.to_owned() });
            }
            Err(TryLockError::Error(error)) => return Err(doing()(error)),
        }
        let mut renew = || {
            file.read_to_string(&mut text)?;
            file.set_len(0)?;
            file.rewind()?;
            writeln!(file, "{}", std::process::id())
        };
        renew().map_err(doing())?;
        Ok(Self { previous_holder: text.trim().parse().ok(), file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_given_to_one_at_a_time() {
        let home = tempfile::tempdir().expect("a folder");
        let first = Lock::take(home.path()).expect("the lock");
        assert_eq!(first.previous_holder, None);
        let refused = Lock::take(home.path()).expect_err("it is taken").to_string();
        assert!(refused.contains(&format!("in use by process {}", std::process::id())), "{refused}");
        drop(first);
        let second = Lock::take(home.path()).expect("the lock");
        assert_eq!(second.previous_holder, i32::try_from(std::process::id()).ok());
    }

    #[test]
    fn a_child_that_is_being_started_does_not_keep_it() {
        let home = tempfile::tempdir().expect("a folder");
        let first = Lock::take(home.path()).expect("the lock");
        // The open file, as a fork has it.
        let childs = first.file.try_clone().expect("a second descriptor");
        drop(first);
        Lock::take(home.path()).expect("the lock");
        drop(childs);
    }
}
