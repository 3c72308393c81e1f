//! A child process with all processes that it starts: they end together, and with us.

use std::io;
use std::process::ExitStatus;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStdout, Command};

/// The leader of its own process group. Dropping it terminates the group.
pub struct Group {
    child: Child,
    leader: Option<Pid>,
}

impl Group {
    /// Start the command as the leader of a group.
    ///
    /// # Errors
    ///
    /// Fails if the program cannot be started.
    pub fn spawn(command: &mut Command) -> io::Result<Group> {
        // Killing a build tool alone would leave its compilers running. A terminal's Ctrl-C reaches only
        // our group, and we pass it on.
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        let leader = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        Ok(Group { child, leader })
    }

    /// What it writes to a pipe.
    pub fn stdout(&mut self) -> Option<ChildStdout> {
        self.child.stdout.take()
    }

    /// Wait until the leader ends.
    ///
    /// # Errors
    ///
    /// Fails if the system does.
    pub async fn wait(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait().await;
        // From here on, the number may belong to another process.
        self.leader = None;
        status
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.leader {
            let _ = kill_process_group(leader, Signal::TERM);
        }
    }
}
