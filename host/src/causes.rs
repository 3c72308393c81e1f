//! Has failures counted by their causes, so that nobody who looks has to read them one by one.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use pgq_queue::Queue;
use pgq_queue::told::Told as _;

/// How soon failures are looked for after this host recorded one, or others were found. Where there
/// are none, half as often each time, and where nobody worked at all, as far as this host was told, at
/// the latest after `UNHEARD`.
const SOON: Duration = Duration::from_secs(5);
const RARELY: Duration = Duration::from_secs(60);
/// Between two statements while there are more.
const PAUSE: Duration = Duration::from_millis(50);
const FORGET: Duration = Duration::from_secs(3600);
const UNHEARD: Duration = Duration::from_secs(600);

/// Count what failed, until `stop`. Only one host of the queue does at a time.
pub async fn keep(queue: Queue, stop: CancellationToken) {
    if !queue.counts_causes() {
        return stop.cancelled().await;
    }
    let (mut wait, mut forget_at) = (SOON, Instant::now() + FORGET.mul_f64(fastrand::f64()));
    // Whether there were any that may not be the last.
    let mut lately = false;
    let (mut events, mut counted) = (queue.events(), Instant::now());
    loop {
        let jitter = wait.mul_f64(0.75 + fastrand::f64() / 2.0);
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(jitter) => {}
            () = queue.failed(), if wait > SOON => {
                (wait, lately) = (SOON, true);
                continue;
            }
        }
        // A run that ended was told of, unless its row stays in the queue.
        let is_quiet = queue.events() == events && !queue.is_pooled_by_transaction();
        if wait >= RARELY && is_quiet && counted.elapsed() < UNHEARD {
            continue;
        }
        (events, counted) = (queue.events(), Instant::now());
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
