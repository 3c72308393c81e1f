//! `postmaster.pid`: what the server says about itself, and whether that is still true.

use std::fs;
use std::path::Path;

use rustix::process::{Pid, Signal};

pub(super) const NAME: &str = "postmaster.pid";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Starting,
    Ready,
    Stopping,
}

/// The relevant lines. A server writes the file line by line while it starts, so all but the first
/// may be missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PidFile {
    pub(super) pid: i32,
    pub(super) port: Option<u16>,
    pub(super) status: Status,
}

/// Who has the process id in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holder {
    Nobody,
    /// The id now belongs to an unrelated program.
    Stranger,
    Server,
}

impl PidFile {
    pub(super) fn read(data: &Path) -> Option<Self> {
        Self::parse(&fs::read_to_string(data.join(NAME)).ok()?)
    }

    fn parse(text: &str) -> Option<Self> {
        let mut lines = text.lines().map(str::trim);
        // A single-user server writes its id negated.
        let pid = lines.next()?.parse::<i32>().ok()?.checked_abs().filter(|pid| *pid > 1)?;
        let port = lines.nth(2).and_then(|line| line.parse().ok());
        let status = match lines.nth(3) {
            Some("ready" | "standby") => Status::Ready,
            Some("stopping") => Status::Stopping,
            _ => Status::Starting,
        };
        Some(Self { pid, port, status })
    }
}

/// Who has this process id, as seen from the cluster in `data`.
pub(super) fn holder(pid: i32, data: &Path) -> Holder {
    if !is_alive(pid) {
        Holder::Nobody
    } else if is_server_on(pid, data) {
        Holder::Server
    } else {
        Holder::Stranger
    }
}

/// Whether a process with this id runs. A zombie does not count, because nobody may ever reap it.
pub(super) fn is_alive(pid: i32) -> bool {
    if cfg!(target_os = "linux") {
        // The state follows the program's name, which is in parentheses and may contain anything.
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        return stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| !matches!(rest.trim_start().chars().next(), None | Some('Z' | 'X')));
    }
    let Some(pid) = Pid::from_raw(pid) else { return false };
    !matches!(rustix::process::test_kill_process(pid), Err(rustix::io::Errno::SRCH))
}

pub(super) fn signal(pid: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have just ended, which is what the caller wants.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

fn is_server_on(pid: i32, data: &Path) -> bool {
    if !cfg!(target_os = "linux") {
        let ps = std::process::Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid.to_string()]).output();
        return ps.is_ok_and(|ps| {
            let line = String::from_utf8_lossy(&ps.stdout).into_owned();
            line.contains("postgres") && line.contains(&*data.to_string_lossy())
        });
    }
    let comm = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    if !comm.starts_with("postgres") && !comm.starts_with("postmaster") {
        return false;
    }
    // A server's working directory is its data folder. Root without CAP_SYS_PTRACE (in a container)
    // cannot read that, but can read the command line.
    match fs::read_link(format!("/proc/{pid}/cwd")) {
        Ok(folder) => folder == data,
        Err(_) => fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| {
            let path = data.as_os_str().as_encoded_bytes();
            line.windows(path.len()).any(|part| part == path)
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_file() {
        let text = "4711\n/srv/db/data\n1732000000\n5433\n/srv/db/data\n127.0.0.1\n  6291489     32769\nready   \n";
        assert_eq!(PidFile::parse(text), Some(PidFile { pid: 4711, port: Some(5433), status: Status::Ready }));
        assert_eq!(PidFile::parse(&text.replace("ready", "stopping")).map(|f| f.status), Some(Status::Stopping));
    }

    #[test]
    fn a_file_without_sockets_keeps_its_empty_line() {
        let text = "4711\n/srv/db/data\n1732000000\n5433\n\n127.0.0.1\n  6291489     32769\nready   \n";
        assert_eq!(PidFile::parse(text).map(|f| f.status), Some(Status::Ready));
    }

    #[test]
    fn a_file_being_written() {
        assert_eq!(PidFile::parse("4711\n/srv"), Some(PidFile { pid: 4711, port: None, status: Status::Starting }));
        assert_eq!(PidFile::parse(""), None);
        assert_eq!(PidFile::parse("garbage\n"), None);
        assert_eq!(PidFile::parse("0\n"), None);
    }

    #[test]
    fn a_single_user_server_writes_a_negative_id() {
        assert_eq!(PidFile::parse("-4711\n/srv/db/data\n").map(|f| f.pid), Some(4711));
    }

    #[test]
    fn we_are_alive_and_not_a_server() {
        let me = i32::try_from(std::process::id()).expect("a pid");
        assert!(is_alive(me));
        assert!(!is_server_on(me, Path::new("/")));
    }
}
