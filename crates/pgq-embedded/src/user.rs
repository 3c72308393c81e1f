//! The system user that the server runs as, and the only way to start the server's programs.
//!
//! PostgreSQL refuses to run as root, so root switches to an unprivileged user. All programs are
//! started through [`ServerUser::command`], which drops privileges, hides our environment, and ties
//! the program's life to ours.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, chown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::Signal;

/// Variables that the server's programs may see. Others may hold secrets, and `PG*` would change
/// what the programs do.
const PASSED_ON: [&str; 5] = ["PATH", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

#[derive(Debug, Clone)]
pub(super) struct ServerUser {
    name: String,
    /// `None` if we are an ordinary user, and the server runs as the same user.
    switch_to: Option<(u32, u32)>,
}

impl ServerUser {
    /// The owner of existing files (the first of `existing` that does not belong to root), or else
    /// `postgres`, or else `nobody`.
    pub(super) fn choose(existing: &[&Path]) -> Self {
        if !rustix::process::geteuid().is_root() {
            return Self { name: "you".into(), switch_to: None };
        }
        let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let owner = existing.iter().filter_map(|p| fs::metadata(p).ok()).find(|m| m.uid() != 0);
        if let Some(owner) = owner {
            let known = account(&accounts, |_, uid| uid == owner.uid());
            let (name, uid, gid) = known.unwrap_or((owner.uid().to_string(), owner.uid(), owner.gid()));
            return Self { name, switch_to: Some((uid, gid)) };
        }
        let unprivileged = |wanted| account(&accounts, |name, uid| name == wanted && uid != 0);
        let (name, uid, gid) =
            unprivileged("postgres").or_else(|| unprivileged("nobody")).unwrap_or(("nobody".into(), 65534, 65534));
        Self { name, switch_to: Some((uid, gid)) }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn is_switched(&self) -> bool {
        self.switch_to.is_some()
    }

    /// A program of the server, run in `folder`, which receives `on_our_death` when we die (on
    /// Linux).
    pub(super) fn command(&self, program: &Path, folder: &Path, on_our_death: Signal) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").current_dir(folder).stdin(Stdio::null());
        command.envs(PASSED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        // In a process group of its own: a Ctrl-C at the terminal must reach only us. Otherwise the
        // server would stop before its clients have drained.
        command.process_group(0);
        if let Some((uid, gid)) = self.switch_to {
            command.uid(uid).gid(gid);
        }
        die_with_us(&mut command, on_our_death);
        command
    }

    /// Whether the server's user can enter this folder. The kernel is asked, because mode bits do
    /// not show ACLs and security modules.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        let mut probe = self.command(Path::new("/bin/sh"), folder, Signal::KILL);
        match probe.args(["-c", ":"]).stdout(Stdio::null()).stderr(Stdio::null()).status() {
            Ok(_) => true,
            Err(error) => error.kind() != io::ErrorKind::PermissionDenied,
        }
    }

    /// Give a file or folder to the server's user.
    pub(super) fn own(&self, path: &Path) -> io::Result<()> {
        match self.switch_to {
            Some((uid, gid)) => chown(path, Some(uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Give a folder with its contents to the server's user, unless it already belongs to it (root
    /// may have copied it). Symbolic links are not followed.
    pub(super) fn own_all(&self, folder: &Path) -> io::Result<()> {
        let Some((uid, gid)) = self.switch_to else { return Ok(()) };
        if fs::metadata(folder)?.uid() == uid {
            return Ok(());
        }
        let mut pending = vec![folder.to_owned()];
        while let Some(path) = pending.pop() {
            if fs::symlink_metadata(&path)?.is_dir() {
                for entry in fs::read_dir(&path)? {
                    pending.push(entry?.path());
                }
            }
            lchown(&path, Some(uid), Some(gid))?;
        }
        Ok(())
    }
}

/// The name, uid and gid in the first matching line of `/etc/passwd`.
fn account(passwd: &str, matches: impl Fn(&str, u32) -> bool) -> Option<(String, u32, u32)> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        matches(name, uid).then(|| (name.to_owned(), uid, gid))
    })
}

/// If we are killed by SIGKILL, we cannot stop the server, so the kernel has to. The request must
/// come after the change of user, which would clear it, and lasts as long as the thread that spawns
/// the process: see `process::spawn`.
#[cfg(target_os = "linux")]
#[expect(unsafe_code, reason = "std has no other hook between the change of user and exec")]
fn die_with_us(command: &mut Command, signal: Signal) {
    let parent = rustix::process::getpid();
    let hook = move || {
        rustix::process::set_parent_process_death_signal(Some(signal))?;
        // If we were killed between fork and the line above, nobody would signal this child.
        match rustix::process::getppid() {
            Some(pid) if pid == parent => Ok(()),
            _ => Err(rustix::io::Errno::SRCH.into()),
        }
    };
    // SAFETY: the hook makes two system calls and neither allocates nor locks.
    unsafe { command.pre_exec(hook) };
}

/// On other systems, the server outlives us after a SIGKILL, and the next start takes it over.
#[cfg(not(target_os = "linux"))]
fn die_with_us(_: &mut Command, _: Signal) {}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\nbroken\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn accounts_are_found_by_name_and_by_id() {
        assert_eq!(account(PASSWD, |n, _| n == "postgres"), Some(("postgres".into(), 101, 104)));
        assert_eq!(account(PASSWD, |_, uid| uid == 101).map(|a| a.0).as_deref(), Some("postgres"));
        assert_eq!(account(PASSWD, |n, _| n == "broken"), None);
    }
}
