//! Whether this host is alive, and whether it is ready for work. These are two questions, because a
//! restart only helps with the first.

use std::time::Duration;

use super::worker_handles::WorkerHandles;
use pgq_engine::printable::printable;
use pgq_queue::Queue;
use pgq_queue::schema::{self, SchemaError};
use pgq_queue::told::Told as _;

/// Guests are interrupted every 10 ms, and an overloaded machine is no reason for a restart.
const GUESTS_TIMEOUT: Duration = Duration::from_secs(8);
/// Shorter than a typical probe's timeout.
const DATABASE_TIMEOUT: Duration = Duration::from_secs(2);

/// The name of a check, and the problem if there is one.
type Check = (&'static str, Result<(), String>);

pub(super) struct Report(Vec<Check>);

impl Report {
    /// Whether the process should be kept running. That it answers at all is part of the check.
    pub(super) async fn alive(worker: Option<&WorkerHandles>) -> Report {
        let mut checks = vec![("control", Ok(()))];
        if let Some(worker) = worker {
            let guests = worker.guests.answer(GUESTS_TIMEOUT).await;
            checks.push((
                "guests",
                guests
                    .then_some(())
                    .ok_or_else(|| format!("one of their threads did not answer within {GUESTS_TIMEOUT:?}")),
            ));
            // A worker that is stopping claims no more.
            let silence = if worker.stopping.is_cancelled() { None } else { worker.watchdog.stalled_for() };
            checks.push((
                "claims",
                silence.map_or(Ok(()), |silence| Err(format!("the claim loop has made no progress for {silence:.0?}"))),
            ));
        }
        Report(checks)
    }

    /// Whether to rely on it. A worker that is not ready may still be running jobs.
    pub(super) async fn ready(worker: Option<&WorkerHandles>) -> Report {
        let Some(worker) = worker else { return Report(vec![("worker", Err("it is starting".into()))]) };
        let claims = match worker.watchdog.last_error() {
            _ if worker.stopping.is_cancelled() => Err("it is stopping".into()),
            Some(trouble) => Err(trouble),
            None => Ok(()),
        };
        let (database, schema) = database(&worker.queue).await;
        let listener = match &worker.listening {
            Some(listening) if !*listening.borrow() => {
                Err("the listener is disconnected; the queue is polled until it is back".into())
            }
            _ => Ok(()),
        };
        let plugins = worker.readiness.plugins().await;
        Report(vec![
            ("worker", claims),
            ("database", database),
            ("schema", schema),
            ("listener", listener),
            ("plugins", plugins),
        ])
    }

    pub(super) fn is_ok(&self) -> bool {
        self.0.iter().all(|(_, found)| found.is_ok())
    }
}

impl std::fmt::Display for Report {
    /// The format of Kubernetes' own servers.
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

/// One query to the catalog answers both.
async fn database(queue: &Queue) -> (Result<(), String>, Result<(), String>) {
    let names = queue.names().clone();
    let ask =
        queue.pool().transaction(|connection| Box::pin(async move { schema::check_worker(connection, &names).await }));
    match tokio::time::timeout(DATABASE_TIMEOUT, ask).await {
        Ok(Ok(())) => (Ok(()), Ok(())),
        Ok(Err(SchemaError::Catalog(error))) => (Err(error.told()), Err("not known".into())),
        Ok(Err(error)) => (Ok(()), Err(error.told())),
        Err(_) => (Err(format!("no answer within {DATABASE_TIMEOUT:?}")), Err("not known".into())),
    }
}
