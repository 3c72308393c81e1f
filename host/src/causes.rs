//! Has failures counted by their causes, so that nobody who looks has to read them one by one.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use pgq_queue::Queue;
use pgq_queue::told::Told as _;

/// How soon failures are looked for after there were some. Where there are none, half as often each time.
const SOON: Duration = Duration::from_secs(5);
const RARELY: Duration = Duration::from_secs(60);
/// Between two statements while there are more.
const PAUSE: Duration = Duration::from_millis(50);
const FORGET: Duration = Duration::from_secs(3600);

/// Count what failed, until `stop`. Only one host of the queue does at a time.
pub async fn keep(queue: Queue, stop: CancellationToken) {
    if !queue.counts_causes() {
        return stop.cancelled().await;
    }
    let (mut wait, mut forget_at) = (SOON, Instant::now() + FORGET.mul_f64(fastrand::f64()));
    loop {
        let jitter = wait.mul_f64(0.75 + fastrand::f64() / 2.0);
        if stop.run_until_cancelled(tokio::time::sleep(jitter)).await.is_none() {
            return;
        }
        wait = match queue.fold_causes().await {
            Ok(Some(folded)) if folded.more => PAUSE,
            Ok(Some(folded)) if folded.failures > 0 => SOON,
            Ok(_) => (wait * 2).clamp(SOON, RARELY),
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
