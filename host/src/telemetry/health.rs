//! Whether this host lives, and whether it is ready for work: two questions, since only the first one's no is cured by a restart.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::guests::Guests;
use crate::lease::Leases;
use crate::plugins::PluginSet;
use crate::printable::printable;
use crate::pulse::Pulse;
use crate::queue::Queue;
use crate::readiness::Readiness;
use crate::schema::{self, SchemaError};
use crate::told::Told as _;

/// Guests are interrupted every 10 ms, and a machine that is out of breath is no reason for a restart.
const GUESTS_ANSWER: Duration = Duration::from_secs(8);
/// Below what a probe waits for by default where it waits for longer than a second.
const DATABASE_ANSWERS: Duration = Duration::from_secs(2);

/// A worker, as far as the pages tell of it.
pub struct Subject {
    /// What it claims from.
    pub queue: Queue,
    /// What it serves.
    pub plugins: watch::Receiver<Arc<PluginSet>>,
    /// What it holds.
    pub leases: Arc<Leases>,
    /// Where its guests run.
    pub guests: Guests,
    /// Runs at a time.
    pub places: usize,
    /// The claim loop's.
    pub pulse: Pulse,
    /// Whether it hears notifications; none where it is meant to poll.
    pub listening: Option<watch::Receiver<bool>>,
    /// Whether it serves what it is meant to.
    pub readiness: Readiness,
    /// It was told to stop.
    pub stopping: CancellationToken,
}

/// A name, and what is wrong with it if anything is.
type Check = (&'static str, Result<(), String>);

/// What was found.
pub(super) struct Report(Vec<Check>);

impl Report {
    /// The process answers by answering.
    pub(super) async fn alive(subject: Option<&Subject>) -> Report {
        let mut checks = vec![("control", Ok(()))];
        if let Some(subject) = subject {
            let guests = subject.guests.answer(GUESTS_ANSWER).await;
            checks.push((
                "guests",
                guests.then_some(()).ok_or_else(|| format!("a thread of theirs did not answer within {GUESTS_ANSWER:?}")),
            ));
            // A worker that stops claims no more.
            let silence = if subject.stopping.is_cancelled() { None } else { subject.pulse.silence() };
            checks.push(("claims", silence.map_or(Ok(()), |silence| Err(format!("the claim loop has been silent for {silence:.0?}")))));
        }
        Report(checks)
    }

    /// Whether to count on it: a worker that is not ready may be running jobs all the same.
    pub(super) async fn ready(subject: Option<&Subject>) -> Report {
        let Some(subject) = subject else { return Report(vec![("worker", Err("it is starting".into()))]) };
        let worker = match subject.pulse.trouble() {
            _ if subject.stopping.is_cancelled() => Err("it is stopping".into()),
            Some(trouble) => Err(trouble),
            None => Ok(()),
        };
        let (database, schema) = database(&subject.queue).await;
        let listener = match &subject.listening {
            Some(listening) if !*listening.borrow() => {
                Err("no notification is heard; the queue is polled until the connection is back".into())
            }
            _ => Ok(()),
        };
        let plugins = subject.readiness.plugins().await;
        Report(vec![("worker", worker), ("database", database), ("schema", schema), ("listener", listener), ("plugins", plugins)])
    }

    pub(super) fn is_ok(&self) -> bool {
        self.0.iter().all(|(_, found)| found.is_ok())
    }
}

impl std::fmt::Display for Report {
    /// As Kubernetes' own servers write it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (name, found) in &self.0 {
            match found {
                Ok(()) => writeln!(f, "[+] {name} ok")?,
                Err(reason) => writeln!(f, "[-] {name}: {}", printable(reason))?,
            }
        }
        f.write_str(if self.is_ok() { "ok\n" } else { "failed\n" })
    }
}

/// Both are one question to the catalog.
async fn database(queue: &Queue) -> (Result<(), String>, Result<(), String>) {
    let names = queue.names().clone();
    let ask = queue.pool().transaction(|connection| Box::pin(async move { schema::check_worker(connection, &names).await }));
    match tokio::time::timeout(DATABASE_ANSWERS, ask).await {
        Ok(Ok(())) => (Ok(()), Ok(())),
        Ok(Err(SchemaError::Catalog(error))) => (Err(error.told()), Err("not known".into())),
        Ok(Err(error)) => (Ok(()), Err(error.told())),
        Err(_) => (Err(format!("no answer within {DATABASE_ANSWERS:?}")), Err("not known".into())),
    }
}
