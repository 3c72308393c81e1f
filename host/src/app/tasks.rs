//! The tasks that work beside the claim loop. None of them ends unseen: each runs until it is told
//! to stop, so that an end of its own, or a panic, is a fault of the host, which then ends too.
//! Whoever started it starts a whole one.

use std::collections::HashMap;
use std::time::Duration;

use tokio::task::{Id, JoinError, JoinSet};

use crate::logging::list;

/// All of them, by name.
#[derive(Default)]
pub(super) struct Tasks {
    running: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

/// What nobody asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// It returned, perhaps because what it works for is gone.
    Ended(String),
    Failed(String),
}

impl Tasks {
    /// Have it run beside the others.
    pub(super) fn spawn(&mut self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        #[cfg(debug_assertions)]
        let task = faulty(name, task);
        let handle = self.running.spawn(task);
        self.names.insert(handle.id(), name);
    }

    /// Resolves when one of them ended: which, and how.
    pub(super) async fn fault(&mut self) -> Fault {
        match self.running.join_next_with_id().await {
            Some(Ok((id, ()))) => Fault::Ended(format!("the task {:?} ended by itself", self.name(id))),
            Some(Err(error)) => Fault::Failed(self.failed(error)),
            None => std::future::pending().await,
        }
    }

    /// Resolves when one of them panicked, while they are being told to stop and may end.
    pub(super) async fn panic(&mut self) -> String {
        loop {
            match self.running.join_next_with_id().await {
                Some(Err(error)) => return self.failed(error),
                Some(Ok((id, ()))) => drop(self.names.remove(&id)),
                None => std::future::pending().await,
            }
        }
    }

    /// They were told to stop: wait for their ends, but no longer than that.
    pub(super) async fn wind_up(mut self, time: Duration) {
        let ended = async {
            while let Some(ended) = self.running.join_next_with_id().await {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    tracing::error!(error = self.failed(error), "at the end");
                }
            }
        };
        if tokio::time::timeout(time, ended).await.is_err() {
            let left: Vec<&str> = self.names.values().copied().collect();
            tracing::debug!(tasks = %list(&left), "some tasks did not end in time");
        }
    }

    fn name(&mut self, id: Id) -> &'static str {
        self.names.remove(&id).unwrap_or("?")
    }

    fn failed(&mut self, error: JoinError) -> String {
        let name = self.name(error.id());
        match error.try_into_panic() {
            Ok(panic) => {
                let said = panic
                    .downcast_ref::<&str>()
                    .copied()
                    .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                format!("the task {name:?} panicked: {}", said.unwrap_or("it did not say why"))
            }
            Err(error) => format!("the task {name:?} is lost: {error}"),
        }
    }
}

/// For tests of what becomes of a host whose task fails: `PGQ_HOST_TEST_PANIC` names one that
/// panics when the file of `PGQ_HOST_TEST_PANIC_AT` is there. Builds for use do not have it.
#[cfg(debug_assertions)]
async fn faulty(name: &'static str, task: impl Future<Output = ()>) {
    let Some(at) = std::env::var_os("PGQ_HOST_TEST_PANIC_AT")
        .filter(|_| std::env::var("PGQ_HOST_TEST_PANIC").is_ok_and(|wanted| wanted == name))
    else {
        return task.await;
    };
    let there = async {
        while !std::path::Path::new(&at).exists() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = task => {}
        () = there => panic!("as the test wants it"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ends_or_panics_is_named() {
        let mut tasks = Tasks::default();
        tasks.spawn("steady", std::future::pending());
        tasks.spawn("brief", async {});
        assert_eq!(tasks.fault().await, Fault::Ended("the task \"brief\" ended by itself".into()));
        tasks.spawn("broken", async { panic!("no {}", "more") });
        assert_eq!(tasks.fault().await, Fault::Failed("the task \"broken\" panicked: no more".into()));
        tasks.wind_up(Duration::from_millis(1)).await;
    }
}
