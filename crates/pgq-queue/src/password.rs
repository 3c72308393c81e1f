//! A password from a file or a command, read again for each session.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use crate::environment::variable;

const PASSWORD_FILE: &str = "PGQ_HOST_PASSWORD_FILE";
const PASSWORD_COMMAND: &str = "PGQ_HOST_PASSWORD_COMMAND";
/// Deadline of the password command, which may have to ask a service.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a password at most. A token of a cloud's identity service has two kilobytes.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// The variables that say where the database is and who we are there.
pub fn connection_variables() -> impl Iterator<Item = &'static str> {
    pgq_connect::variables().chain([PASSWORD_FILE, PASSWORD_COMMAND])
}

/// Refuse what contradicts itself.
pub(super) fn check() -> Result<(), String> {
    if [PASSWORD_FILE, PASSWORD_COMMAND].iter().all(|name| variable(name).is_some()) {
        return Err(format!("{PASSWORD_FILE} and {PASSWORD_COMMAND} are both set; unset one of them"));
    }
    Ok(())
}

/// Which variable names one, if one does.
pub(super) fn named_by() -> Option<&'static str> {
    [PASSWORD_FILE, PASSWORD_COMMAND].into_iter().find(|name| variable(name).is_some())
}

/// The password that one of the variables names.
pub(super) async fn named() -> Result<Option<String>, String> {
    match (variable(PASSWORD_FILE), variable(PASSWORD_COMMAND)) {
        (Some(file), _) => read(&file).await.map(Some).map_err(|error| format!("{PASSWORD_FILE} is {file:?}: {error}")),
        // The message does not repeat the command, which may hold a secret.
        (None, Some(command)) => {
            run(&command).await.map(Some).map_err(|error| format!("the command of {PASSWORD_COMMAND} {error}"))
        }
        (None, None) => Ok(None),
    }
}

async fn read(file: &str) -> Result<String, String> {
    let read = async {
        // Before it is opened, because opening a pipe waits for its other end.
        if !tokio::fs::metadata(file).await?.is_file() {
            return Err(std::io::Error::other("it is no regular file"));
        }
        let file = tokio::fs::File::open(file).await?;
        let mut text = String::new();
        file.take(LONGEST_PASSWORD).read_to_string(&mut text).await?;
        Ok(text)
    };
    password(&read.await.map_err(|error| error.to_string())?)
}

/// The first line that the command prints. Its output is never shown.
async fn run(command: &str) -> Result<String, String> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        // In a process group of its own: Ctrl-C is for the host alone, and children of the command
        // can be killed with it.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("does not start: {error}"))?;
    let group = child.id().and_then(|id| rustix::process::Pid::from_raw(i32::try_from(id).ok()?));
    let finished = async {
        let mut text = String::new();
        let printed = child.stdout.take().ok_or("prints nowhere")?;
        printed
            .take(LONGEST_PASSWORD)
            .read_to_string(&mut text)
            .await
            .map_err(|error| format!("prints no text: {error}"))?;
        let status = child.wait().await.map_err(|error| format!("is lost: {error}"))?;
        if status.success() { password(&text) } else { Err(format!("ended with {status}")) }
    };
    match tokio::time::timeout(COMMAND_TIMEOUT, finished).await {
        Ok(finished) => finished,
        Err(_) => {
            if let Some(group) = group {
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
            }
            Err(format!("did not end within {COMMAND_TIMEOUT:?}"))
        }
    }
}

fn password(text: &str) -> Result<String, String> {
    match text.lines().next() {
        Some(password) if !password.is_empty() => Ok(password.to_owned()),
        _ => Err("has no password in its first line".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_command_gives_its_first_line_and_never_says_what_it_printed() {
        assert_eq!(run("echo secret; echo more").await.as_deref(), Ok("secret"));
        let said = run("echo secret; exit 3").await.expect_err("it failed");
        assert!(said.contains('3') && !said.contains("secret"), "{said}");
        assert!(run("true").await.expect_err("nothing came").contains("no password"));
        let said = read("/dev/null").await.expect_err("a device");
        assert!(said.contains("regular"), "{said}");
    }
}
