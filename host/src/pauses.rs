//! Keeps this host in step with what operators pause. A notification is a hint; the table is polled
//! anyway, and read again when a pause ends by itself.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;

use crate::plugins::Pauses;
use pgq_queue::Queue;
use pgq_queue::told::Told as _;

/// Notifications are lost with the listening connection alone, and then its return is a reason to
/// read.
const POLL: Duration = Duration::from_secs(60);
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
}

/// Both ends, with what is paused now. A host that does not know that must not claim.
pub async fn join(queue: Queue) -> sqlx::Result<(PauseLink, PauseKeeper)> {
    let (sender, known) = watch::channel(Arc::new(Pauses(queue.pauses().await?)));
    let changed = Arc::new(Notify::new());
    Ok((PauseLink { known, changed: Arc::clone(&changed) }, PauseKeeper { queue, known: sender, changed }))
}

impl PauseKeeper {
    /// Run until `stop`. While the database does not answer, what is known holds.
    pub async fn keep(self, stop: CancellationToken) {
        if !self.queue.knows_pauses() {
            return stop.cancelled().await;
        }
        let (mut was_read, mut returns) = (true, self.queue.access().returns());
        loop {
            let poll = if self.queue.is_pooled_by_transaction() { POLL_UNHEARD } else { POLL };
            let poll = poll.mul_f64(0.75 + fastrand::f64() / 2.0);
            let ends = self.known.borrow().0.iter().filter_map(|pause| pause.left).min();
            let wait = ends.filter(|_| was_read).map_or(poll, |left| left.max(MIN_WAIT).min(poll));
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.changed.notified() => {}
                // The queue holds the sender.
                _ = returns.changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
            match self.queue.pauses().await {
                Ok(pauses) => {
                    was_read = true;
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
                    was_read = false;
                    tracing::debug!(error = %error.told(), "cannot read what is paused; trying again");
                }
            }
        }
    }
}
