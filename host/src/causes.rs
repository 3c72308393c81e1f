//! Has failures counted by their causes, so that nobody who looks has to read them one by one.

use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use pgq_queue::told::Told as _;
use pgq_queue::{Queue, Seen};

/// How soon failures are looked for after this host recorded one, or others were found. Where there
/// are none, half as often each time, and in the end only when an announcement has seen one.
const SOON: Duration = Duration::from_secs(5);
const RARELY: Duration = Duration::from_secs(60);
/// Between two statements while there are more.
const PAUSE: Duration = Duration::from_millis(50);
const FORGET: Duration = Duration::from_secs(3600);
/// Announcements are made more often, unless the database refuses them.
const UNTOLD: Duration = Duration::from_secs(120);

/// Count what failed, until `stop`. Only one host of the queue does at a time. `seen`: what this
/// host's announcements tell.
pub async fn keep(queue: Queue, mut seen: watch::Receiver<Seen>, stop: CancellationToken) {
    if !queue.counts_causes() {
        return stop.cancelled().await;
    }
    let mut wait = if seen.borrow_and_update().failures { SOON } else { RARELY };
    // Whether there were any that may not be the last.
    let mut lately = false;
    let mut forget_at = Instant::now() + FORGET.mul_f64(fastrand::f64());
    loop {
        let jitter = wait.mul_f64(0.75 + fastrand::f64() / 2.0);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(jitter), if wait < RARELY => {}
            () = failure(&mut seen), if wait >= RARELY => {}
            () = queue.failed(), if wait > SOON => {
                (wait, lately) = (SOON, true);
                continue;
            }
            () = tokio::time::sleep_until(forget_at) => {}
        }
        // What it tells while failures are being counted is looked at afterwards.
        seen.mark_unchanged();
        wait = match queue.fold_causes().await {
            Ok(Some(folded)) if folded.more => PAUSE,
            Ok(Some(folded)) if folded.failures > 0 => {
                lately = true;
                SOON
            }
            Ok(Some(_)) if lately && wait < RARELY => (wait * 2).clamp(SOON, RARELY),
            Ok(_) => {
                lately = false;
                RARELY
            }
            Err(error) => {
                tracing::warn!(error = %error.told(), "cannot count causes of failures; trying again");
                RARELY
            }
        };
        if forget_at <= Instant::now() {
            forget_at = Instant::now() + FORGET;
            match queue.forget_causes().await {
                Ok(0) => {}
                Ok(forgotten) => {
                    tracing::debug!(forgotten, "forgot causes of failures that did not occur for a long time")
                }
                Err(error) => {
                    tracing::warn!(error = %error.told(), "cannot forget old causes of failures; trying again")
                }
            }
        }
    }
}

/// Resolves when an announcement has seen a failure, or when none is made.
async fn failure(seen: &mut watch::Receiver<Seen>) {
    loop {
        match tokio::time::timeout(UNTOLD, seen.changed()).await {
            Ok(Ok(())) if seen.borrow_and_update().failures => return,
            Ok(Ok(())) => {}
            // The announcer is gone: this host stops.
            Ok(Err(_)) => tokio::time::sleep(UNTOLD).await,
            Err(_) => return,
        }
    }
}
