//! Address and password of the database. Both are read again for each session, because passwords
//! are rotated while hosts run.

use std::fmt;
use std::ops::Deref;
use std::process::Stdio;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::options;
use super::server_version::check_server;
use super::timeout::within;
use super::variables::{configuration, in_time};
use crate::environment::variable;

const PASSWORD_FILE: &str = "PGQ_HOST_PASSWORD_FILE";
const PASSWORD_COMMAND: &str = "PGQ_HOST_PASSWORD_COMMAND";
/// Deadline of the password command, which may have to ask a service.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Bytes of a password at most. A token of a cloud's identity service has two kilobytes.
const LONGEST_PASSWORD: u64 = 64 * 1024;

/// Dereferences to the options as they were read at start.
#[derive(Clone)]
pub struct Source {
    options: PgConnectOptions,
    connect_timeout: Option<Duration>,
    /// The DSN, to be read again with all variables; the outer `None`: the options never change.
    origin: Option<Option<String>>,
}

impl From<PgConnectOptions> for Source {
    fn from(options: PgConnectOptions) -> Source {
        Source { options, connect_timeout: None, origin: None }
    }
}

impl Deref for Source {
    type Target = PgConnectOptions;

    fn deref(&self) -> &PgConnectOptions {
        &self.options
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.options.get_host(), self.options.get_port())
    }
}

impl Source {
    /// From a DSN and the variables.
    pub fn new(dsn: Option<&str>) -> Result<Source, String> {
        if [PASSWORD_FILE, PASSWORD_COMMAND].iter().all(|name| variable(name).is_some()) {
            return Err(format!("{PASSWORD_FILE} and {PASSWORD_COMMAND} are both set; unset one of them"));
        }
        let (options, connect_timeout) = options::read(dsn)?;
        Ok(Source { options, connect_timeout, origin: Some(dsn.map(str::to_owned)) })
    }

    /// The DSN's `connect_timeout`.
    pub(super) fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// A single connection, for a command.
    pub async fn connect(&self) -> sqlx::Result<PgConnection> {
        let connecting = async {
            let connection = PgConnection::connect_with(&self.read_again().await?).await?;
            check_server(&connection)?;
            Ok(connection)
        };
        match self.connect_timeout {
            Some(timeout) => within(timeout, connecting).await,
            None => in_time(connecting).await,
        }
    }

    /// Read options and password again: the password file, libpq's or ours, may have changed.
    pub async fn read_again(&self) -> sqlx::Result<PgConnectOptions> {
        let Some(dsn) = &self.origin else { return Ok(self.options.clone()) };
        let (options, _) = options::read(dsn.as_deref()).map_err(configuration)?;
        let password = match (variable(PASSWORD_FILE), variable(PASSWORD_COMMAND)) {
            (Some(file), _) => Some(
                read(&file).await.map_err(|error| configuration(format!("{PASSWORD_FILE} is {file:?}: {error}")))?,
            ),
            // The message does not repeat the command, which may hold a secret.
            (None, Some(command)) => Some(
                run(&command)
                    .await
                    .map_err(|error| configuration(format!("the command of {PASSWORD_COMMAND} {error}")))?,
            ),
            (None, None) => None,
        };
        Ok(match password {
            Some(password) => options.password(&password),
            None => options,
        })
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
