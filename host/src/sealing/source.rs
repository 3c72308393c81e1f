//! Where keys are: a file that nobody else may read, or a command that prints them.

use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::child::Group;
use pgq_sealing::{Keys, MAX_KEYS_BYTES};

/// A file on a network that hangs.
const FILE_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, PartialEq, Eq)]
pub enum Source {
    /// A JWK Set.
    File(PathBuf),
    /// Prints a JWK Set within this time.
    Command { words: Vec<String>, timeout: Duration },
}

/// The words of a command may have a secret.
impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Source::File(path) => write!(f, "File({})", path.display()),
            Source::Command { .. } => f.write_str("Command"),
        }
    }
}

impl Source {
    /// The keys that are there now.
    ///
    /// # Errors
    ///
    /// Fails with a message that has nothing of a key, nor of the command, which may hold a secret.
    pub async fn read(&self) -> Result<Keys, String> {
        match self {
            Source::File(path) => {
                let (path, shown) = (path.clone(), path.display());
                let reading = tokio::task::spawn_blocking(move || read(&path));
                let text = match tokio::time::timeout(FILE_TIMEOUT, reading).await {
                    Ok(Ok(text)) => text?,
                    Ok(Err(_panic)) => return Err(format!("the file of keys {shown} could not be read")),
                    Err(_) => {
                        return Err(format!("the file of keys {shown} could not be read within {FILE_TIMEOUT:?}"));
                    }
                };
                Keys::read(&text).map_err(|error| format!("the file of keys {shown}: {error}"))
            }
            Source::Command { words, timeout } => {
                let printed = match tokio::time::timeout(*timeout, print(words)).await {
                    Ok(printed) => printed,
                    // Dropped, it ends with all that it started.
                    Err(_) => Err(format!("did not end within {timeout:?}")),
                };
                let told = |error: String| format!("the command of sealing.keys-command {error}");
                let text = printed.map_err(told)?;
                Keys::read(&text).map_err(|error| told(format!("prints no keys: {error}")))
            }
        }
    }
}

/// The whole file, if it is one that nobody but its owner may read.
///
/// # Errors
///
/// Fails if others may read it, or it cannot be read.
pub fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, String> {
    let shown = path.display();
    let unread = |error: std::io::Error| {
        format!("the file of keys {shown} cannot be read: {error}; `pgq-host sealing keygen` makes one")
    };
    // Before it is opened, because opening a pipe waits for its other end.
    if !std::fs::metadata(path).map_err(unread)?.is_file() {
        return Err(format!("{shown} is not a regular file; name the file of a JWK Set"));
    }
    let file = std::fs::File::open(path).map_err(unread)?;
    let metadata = file.metadata().map_err(unread)?;
    let others = if metadata.uid() == 0 && !rustix::process::geteuid().is_root() { 0o037 } else { 0o077 };
    if metadata.mode() & others != 0 {
        return Err(format!(
            "the file of keys {shown} may be read or written by others: chmod 600 it (or 640, if it is root's)"
        ));
    }
    // All at once: a buffer that grows leaves copies behind.
    let room = usize::try_from(metadata.len().min(MAX_KEYS_BYTES) + 1).unwrap_or_default();
    let mut text = Zeroizing::new(Vec::with_capacity(room));
    file.take(MAX_KEYS_BYTES + 1).read_to_end(&mut text).map_err(unread)?;
    if text.len() as u64 > MAX_KEYS_BYTES {
        return Err(format!("the file of keys {shown} has more than {MAX_KEYS_BYTES} bytes; it is no set of keys"));
    }
    Ok(text)
}

async fn print(words: &[String]) -> Result<Zeroizing<Vec<u8>>, String> {
    let [program, arguments @ ..] = words else { return Err("is empty".into()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut group = Group::spawn(&mut command).map_err(|error| format!("does not start: {error}"))?;
    let stdout = group.stdout().ok_or("prints nowhere")?;
    let most = usize::try_from(MAX_KEYS_BYTES).unwrap_or_default() + 1;
    let mut text = Zeroizing::new(Vec::with_capacity(most));
    stdout.take(most as u64).read_to_end(&mut text).await.map_err(|error| format!("cannot be read: {error}"))?;
    if text.len() == most {
        return Err(format!("prints more than {MAX_KEYS_BYTES} bytes"));
    }
    let status = group.wait().await.map_err(|error| format!("is lost: {error}"))?;
    if status.success() { Ok(text) } else { Err(format!("ended with {status}")) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn set() -> Zeroizing<String> {
        pgq_sealing::with_key(None, &pgq_sealing::new_key("k").expect("made")).expect("a set")
    }

    fn command(script: &str, timeout: Duration) -> Source {
        Source::Command { words: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(), timeout }
    }

    #[tokio::test]
    async fn a_file_is_read_that_nobody_else_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        std::fs::write(&path, &*set()).expect("written");
        for (mode, is_fine) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false), (0o620, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            let keys = Source::File(path.clone()).read().await;
            assert_eq!(keys.as_ref().is_ok_and(|keys| keys.len() == 1), is_fine, "{mode:o}: {keys:?}");
            assert!(is_fine || keys.expect_err("refused").contains("chmod 600"));
        }
        let missing = Source::File(folder.path().join("none")).read().await.expect_err("not there");
        assert!(missing.contains("none") && missing.contains("keygen"), "{missing}");
        let folder = Source::File(folder.path().to_owned()).read().await.expect_err("a folder");
        assert!(folder.contains("regular file"), "{folder}");
    }

    #[tokio::test]
    async fn a_command_prints_keys_in_time_and_its_words_are_never_repeated() {
        let long = Duration::from_secs(60);
        let keys = command(&format!("echo '{}'", &*set()), long).read().await.expect("keys");
        assert_eq!(keys.names(), "\"k\"");
        for (script, limit, part) in [
            ("echo secret; exit 3", long, "exit status: 3"),
            ("echo secret", long, "no JWK Set"),
            ("secret=1; sleep 600", Duration::from_millis(100), "100ms"),
            ("secret=1; yes", long, "more than"),
        ] {
            let said = command(script, limit).read().await.expect_err(script);
            assert!(said.contains(part) && !said.contains("secret"), "{said}");
        }
    }
}
