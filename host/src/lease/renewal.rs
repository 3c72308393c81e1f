//! Renews leases while their jobs run.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Leases;
use crate::meter;
use pgq_queue::Queue;
use pgq_queue::boot_clock::BootInstant;
use pgq_queue::told::Told as _;

/// Jobs in one renewal statement.
const CHUNK: usize = 5_000;
/// Between two tries while the database is away, unless it answers before. After an outage, other
/// hosts wait for a lease and five seconds before they judge leases.
const RETRY: Duration = Duration::from_secs(1);
/// Between two rounds while a run waits for its renewal: a row that was locked may be free then.
const AGAIN: Duration = Duration::from_millis(50);

/// Deadline of a renewal, after which it is tried on another connection. A lease has room for two
/// that hang.
pub fn timeout(lease: Duration) -> Duration {
    (lease / 4).clamp(Duration::from_secs(1), Duration::from_secs(10))
}

/// Renew leases once three eighths of them are over, and when a run waits for it, until `stop`.
/// Nearly all jobs end sooner and cost no statement.
pub async fn keep(leases: Arc<Leases>, queue: Queue, stop: CancellationToken) {
    // A lease is renewed when it is half over at the latest.
    let period = leases.lease / 8;
    let mut pause = period;
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = queue.access().pause(pause) => {}
            () = leases.wanted.notified() => {}
        }
        pause = if round(&leases, &queue).await { period } else { period.min(RETRY) };
        leases.rounds.send_modify(|rounds| *rounds += 1);
        // A run whose renewal failed asks again at once.
        if stop.run_until_cancelled(tokio::time::sleep(AGAIN.min(period))).await.is_none() {
            return;
        }
    }
}

/// Renew all leases that are due. Returns false when the database did not answer.
async fn round(leases: &Leases, queue: &Queue) -> bool {
    for claims in leases.due().chunks(CHUNK) {
        let asked = BootInstant::now();
        let renewing = tokio::time::timeout(timeout(leases.lease), queue.heartbeat(claims));
        let answer = meter::statement("heartbeat", async { renewing.await.unwrap_or_else(|_| Err(no_answer())) }).await;
        match answer {
            Ok(beaten) => {
                leases.beaten(claims, &beaten.renewed.into_iter().collect(), &beaten.ours.into_iter().collect(), asked)
            }
            Err(error) => {
                tracing::warn!(jobs = claims.len(), error = %error.told(), "cannot renew leases; trying again");
                queue.access().lost();
                return false;
            }
        }
    }
    true
}

fn no_answer() -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, "no answer in time"))
}
