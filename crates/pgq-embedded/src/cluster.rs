//! PostgreSQL's own folder: created once by initdb, kept forever, and never left half-created.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::binaries::Binaries;
use super::error::EmbeddedError;
use super::folder::Folder;
use super::user::ServerUser;

/// The superuser, and the role in all our DSNs.
pub(super) const ROLE: &str = "pgq";

/// The prefix of folders in which initdb works. One that exists at a start was left by a crash.
const WORK: &str = ".initdb-";

/// How long a server that a killed initdb left behind may continue.
const ORPHAN_TIMEOUT: Duration = Duration::from_secs(10);

/// The major version that created the cluster. `None` if there is none yet.
pub(super) fn made_by(data: &Path) -> Result<Option<u32>, EmbeddedError> {
    let file = data.join("PG_VERSION");
    match fs::read_to_string(&file) {
        Ok(text) => match text.trim().split('.').next().and_then(|major| major.parse().ok()) {
            Some(major) => Ok(Some(major)),
            None => Err(EmbeddedError::Folder {
                path: data.to_owned(),
                reason: format!("PG_VERSION in it contains {:?}", text.trim()),
            }),
        },
        Err(_) if fs::read_dir(data).map_or(true, |mut entries| entries.next().is_none()) => Ok(None),
        Err(error) => Err(EmbeddedError::Folder {
            path: data.to_owned(),
            reason: format!(
                "it contains files, but its PG_VERSION cannot be read ({error}); move it away to start with an empty database"
            ),
        }),
    }
}

/// Create the cluster unless it exists, give it to the server's user, and make sure that its
/// superuser has the stored password.
pub(super) async fn prepare(
    folder: &Folder,
    user: &ServerUser,
    binaries: &Binaries,
    password: &str,
    is_new_password: bool,
    sync: bool,
) -> Result<(), EmbeddedError> {
    remove_leftovers(folder.path()).await.map_err(EmbeddedError::io("remove leftovers in", folder.path()))?;
    let data = folder.data();
    if made_by(&data)?.is_none() {
        return make(folder, user, binaries, password, sync).await;
    }
    user.own_all(&data).map_err(EmbeddedError::io("hand over", &data))?;
    // The server rejects a folder that other users can read, which a copy or a restored backup
    // easily is.
    fs::set_permissions(&data, Permissions::from_mode(0o700)).map_err(EmbeddedError::io("close to others", &data))?;
    if is_new_password {
        set_password(&data, user, binaries, password).await?;
    }
    Ok(())
}

/// initdb works in a temporary folder. The cluster exists from the rename at the end.
async fn make(
    folder: &Folder,
    user: &ServerUser,
    binaries: &Binaries,
    password: &str,
    sync: bool,
) -> Result<(), EmbeddedError> {
    let data = folder.data();
    let work = folder.path().join(format!("{WORK}{}", std::process::id()));
    let (made, secret) = (work.join("data"), work.join("password"));
    let write = || {
        DirBuilder::new().mode(0o700).create(&work)?;
        // A copy that the server's user can read. It could not read from a pipe of ours.
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(&secret)?.write_all(password.as_bytes())?;
        user.own(&secret)?;
        user.own(&work)
    };
    write().map_err(EmbeddedError::io("prepare", &work))?;
    let mut initdb = user.command(&binaries.dir.join("initdb"), &work, Signal::TERM);
    initdb.arg("--pgdata").arg(&made).arg("--pwfile").arg(&secret).args(["--username", ROLE, "--auth=scram-sha-256"]);
    initdb.args(["--encoding=UTF8", "--locale=C", "--no-instructions"]);
    if !sync {
        initdb.arg("--no-sync");
    }
    let out = Command::from(initdb).kill_on_drop(true).output().await;
    let result = match out {
        Ok(out) if out.status.success() => {
            // An empty folder in its place is not a cluster.
            let _ = fs::remove_dir(&data);
            fs::rename(&made, &data).map_err(EmbeddedError::io("put the new cluster at", &data))
        }
        Ok(out) => Err(failed(&data, &out)),
        Err(error) => Err(EmbeddedError::io("run initdb in", &binaries.dir)(error)),
    };
    // If this fails, the next start removes it.
    let _ = fs::remove_dir_all(&work);
    result
}

/// For a lost password file: a single-user server asks for no password.
async fn set_password(
    data: &Path,
    user: &ServerUser,
    binaries: &Binaries,
    password: &str,
) -> Result<(), EmbeddedError> {
    let mut single = user.command(&binaries.dir.join("postgres"), data, Signal::INT);
    single.arg("--single").arg("-D").arg(data).args(["-c", "password_encryption=scram-sha-256", "postgres"]);
    single.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let run = async {
        let mut child = Command::from(single).spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // Hexadecimal, so no quoting is needed. The end of the input ends the server.
            stdin.write_all(format!("ALTER ROLE {ROLE} PASSWORD '{password}'\n").as_bytes()).await?;
        }
        child.wait_with_output().await
    };
    let out = run.await.map_err(EmbeddedError::io("set the password in", data))?;
    // A single-user server reports a failed statement but exits with 0.
    if out.status.success() && !String::from_utf8_lossy(&out.stderr).contains("ERROR:") {
        return Ok(());
    }
    let reason = format!("its password cannot be set: {}", text_of(&out));
    Err(EmbeddedError::Folder { path: data.to_owned(), reason })
}

fn failed(data: &Path, out: &Output) -> EmbeddedError {
    EmbeddedError::Initdb { data: data.to_owned(), status: out.status.to_string(), output: text_of(out) }
}

fn text_of(out: &Output) -> String {
    let text = String::from_utf8_lossy(if out.stderr.is_empty() { &out.stdout } else { &out.stderr });
    text.trim().replace('\n', " | ")
}

/// A killed initdb leaves a server process behind, which keeps writing until it notices that its
/// client is gone.
async fn remove_leftovers(home: &Path) -> std::io::Result<()> {
    let deadline = Instant::now() + ORPHAN_TIMEOUT;
    for entry in fs::read_dir(home)? {
        let entry = entry?;
        if !entry.file_name().to_string_lossy().starts_with(WORK) {
            continue;
        }
        while let Err(error) = fs::remove_dir_all(entry.path()) {
            if Instant::now() > deadline {
                return Err(error);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_says_who_made_it() {
        let home = tempfile::tempdir().expect("a folder");
        assert_eq!(made_by(&home.path().join("none")).expect("none"), None);
        assert_eq!(made_by(home.path()).expect("empty"), None);
        fs::write(home.path().join("PG_VERSION"), "9.6\n").expect("written");
        assert_eq!(made_by(home.path()).expect("a cluster"), Some(9));
        fs::remove_file(home.path().join("PG_VERSION")).expect("removed");
        fs::write(home.path().join("somebody's"), "").expect("written");
        assert!(made_by(home.path()).is_err());
    }
}
