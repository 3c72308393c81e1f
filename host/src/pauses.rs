//! Keeps this host in step with what operators pause. A notification is a hint; each announcement of
//! this host tells whether the table is another one than was read, and it is read again when a pause
//! ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::plugins::Pauses;
use pgq_queue::told::Told as _;
use pgq_queue::{Queue, Seen};

/// Without an announcement that says that nothing changed. It is made more often.
const POLL: Duration = Duration::from_secs(80);
/// The same where nobody can listen: behind a pooler of transactions.
const POLL_UNHEARD: Duration = Duration::from_secs(15);
/// The clocks of host and server differ by less while a pause ends.
const MIN_WAIT: Duration = Duration::from_millis(10);

/// The reload task's end.
#[derive(Debug)]
pub struct PauseLink {
    pub known: watch::Receiver<Arc<Pauses>>,
    changed: Arc<Notify>,
}

impl PauseLink {
    /// Read the table again: something in it changed.
    pub fn refresh(&self) {
        self.changed.notify_one();
    }
}

/// Reads the table.
#[derive(Debug)]
pub struct PauseKeeper {
    queue: Queue,
    known: watch::Sender<Arc<Pauses>>,
    changed: Arc<Notify>,
    /// Of what was read last.
    fingerprint: Option<String>,
}

/// Both ends, with what is paused now. A host that does not know that must not claim.
pub async fn join(queue: Queue) -> sqlx::Result<(PauseLink, PauseKeeper)> {
    let (pauses, fingerprint) = queue.pauses().await?;
    let (sender, known) = watch::channel(Arc::new(Pauses(pauses)));
    let changed = Arc::new(Notify::new());
    Ok((PauseLink { known, changed: Arc::clone(&changed) }, PauseKeeper { queue, known: sender, changed, fingerprint }))
}

impl PauseKeeper {
    /// Run until `stop`. While the database does not answer, what is known holds. `seen`: what this
    /// host's announcements tell.
    pub async fn keep(mut self, mut seen: watch::Receiver<Seen>, stop: CancellationToken) {
        if !self.queue.knows_pauses() {
            return stop.cancelled().await;
        }
        let (mut read, mut returns) = (Some(Instant::now()), self.queue.access().returns());
        loop {
            let poll = if self.queue.is_pooled_by_transaction() { POLL_UNHEARD } else { POLL };
            let poll = Instant::now() + poll.mul_f64(1.0 + fastrand::f64() / 10.0);
            let ends = self.known.borrow().0.iter().filter_map(|pause| pause.left).min();
            let ends = read.zip(ends).and_then(|(read, left)| read.checked_add(left.max(MIN_WAIT)));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                // The queue holds the sender.
                _ = returns.changed() => {}
                Ok(()) = seen.changed() => {
                    if read.is_some() && seen.borrow_and_update().pauses == self.fingerprint {
                        continue;
                    }
                }
                () = tokio::time::sleep_until(ends.map_or(poll, |ends| ends.min(poll))) => {}
            }
            match self.queue.pauses().await {
                Ok((pauses, fingerprint)) => {
                    (read, self.fingerprint) = (Some(Instant::now()), fingerprint);
                    let targets = |pauses: &Pauses| {
                        pauses.0.iter().map(|pause| (pause.target.clone(), pause.skips_ticks)).collect::<Vec<_>>()
                    };
                    let pauses = Arc::new(Pauses(pauses));
                    // The time that is left changes all the time, and matters only here.
                    self.known.send_if_modified(|known| {
                        let differs = targets(known) != targets(&pauses);
                        *known = pauses;
                        differs
                    });
                }
                Err(error) => {
                    read = None;
                    tracing::debug!(error = %error.told(), "cannot read what is paused; trying again");
                }
            }
        }
    }
}
