//! Open files and connections: how many this process may have, and how many of these are for
//! guests.

use std::sync::{Arc, LazyLock};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::Semaphore;

/// For the host itself: its sessions, its pages, what is loaded and compiled, its runtimes.
const OWN: usize = 256;
/// Where there is no limit, or one beyond all reason.
const MOST: usize = 100_000;

/// Raise the limit to what the system lets every process have for the asking. Most systems give
/// 1,024 to those that do not ask, for the sake of programs that use `select`.
pub fn raise() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    if let Err(error) = setrlimit(Resource::Nofile, raised) {
        tracing::debug!(%error, "the limit of open files stays as it is");
    }
}

/// What guests may have open together: files, folders and connections. Of the process, as the limit
/// is.
pub fn of_guests() -> Arc<Semaphore> {
    static GUESTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| {
        let limit = getrlimit(Resource::Nofile).current.and_then(|limit| usize::try_from(limit).ok());
        Arc::new(Semaphore::new(share(limit)))
    });
    Arc::clone(&GUESTS)
}

fn share(limit: Option<usize>) -> usize {
    let limit = limit.unwrap_or(MOST).min(MOST);
    limit.saturating_sub(OWN).max(limit / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_keeps_what_it_needs_itself() {
        assert_eq!(share(Some(1024)), 768);
        assert_eq!(share(Some(256)), 64);
        assert_eq!(share(None), MOST - OWN);
    }

    #[test]
    fn the_limit_is_raised_as_far_as_it_goes() {
        raise();
        let limit = getrlimit(Resource::Nofile);
        assert_eq!(limit.current, limit.maximum);
    }
}
