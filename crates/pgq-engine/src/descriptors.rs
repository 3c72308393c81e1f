//! Open files and connections: how many this process may have, and how many of those guests may
//! use.

use std::sync::{Arc, LazyLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

/// Reserved for the host itself: its sessions, its HTTP server, loading and compiling, and its
/// runtimes.
const RESERVED: usize = 256;
/// Used if there is no limit, or an absurdly high one.
const MAX: usize = 100_000;

/// Raise the soft limit to the hard limit. Most systems start with 1,024, for the sake of programs
/// that use `select`.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "cannot raise the limit of open files");
    }
}

/// The permits for everything that guests have open: files, folders and connections. Shared by the
/// whole process, as the limit is.
pub fn of_guests() -> Arc<Semaphore> {
    static GUESTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        Arc::new(Semaphore::new(share(limit)))
    });
    Arc::clone(&GUESTS)
}

fn share(limit: Option<usize>) -> usize {
    let limit = limit.unwrap_or(MAX).min(MAX);
    limit.saturating_sub(RESERVED).max(limit / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_what_it_needs_itself() {
        assert_eq!(share(Some(1024)), 768);
        assert_eq!(share(Some(256)), 64);
        assert_eq!(share(None), MAX - RESERVED);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
