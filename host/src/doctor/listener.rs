//! Checks whether a notification comes back, and how soon.

use std::time::{Duration, Instant};

use sqlx::postgres::PgListener;
use sqlx::{AssertSqlSafe, Executor as _};
use uuid::Uuid;

use super::finding::{CheckResult, Finding};
use super::target::Target;

const NOTIFICATION_TIMEOUT: Duration = Duration::from_secs(3);
const ROUNDS: usize = 5;
/// An idle worker starts jobs this much later.
const SLOW: Duration = Duration::from_millis(100);
/// The fraction in use of the server's queue of notifications.
const FULL: f64 = 0.5;

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    // Nobody else listens on this channel, so nobody is woken.
    let channel = format!("pgq_host_doctor_{}", Uuid::new_v4().simple());
    let mut listener = PgListener::connect_with(&target.pool).await?;
    listener.eager_reconnect(false);
    listener.listen(&channel).await?;
    let mut best: Option<Duration> = None;
    for _ in 0..ROUNDS {
        let sent = Instant::now();
        notify(target, &channel).await?;
        match tokio::time::timeout(NOTIFICATION_TIMEOUT, listener.recv()).await {
            Ok(received) => drop(received?),
            Err(_) => {
                let why = "new jobs are only found by polling (every 30 s by default), and workers do not hear of cancellations";
                let remedy = "see `pooling`; without a pooler, check whether something between here and the server drops idle connections";
                return Ok(vec![Finding::error(
                    format!("a notification did not come back within {NOTIFICATION_TIMEOUT:?}"),
                    why,
                    remedy,
                )]);
            }
        }
        best = Some(sent.elapsed().min(best.unwrap_or(Duration::MAX)));
    }
    let best = best.unwrap_or_default();
    let mut found = Vec::new();
    if best >= SLOW {
        let what = format!("a notification takes {} ms to come back", best.as_millis());
        found.push(Finding::note(
            what,
            "an idle host starts each job this much later",
            "run hosts nearer to the database",
        ));
    }
    let used: f64 =
        sqlx::query_scalar("SELECT pg_notification_queue_usage()").fetch_one(&mut *target.read_only().await?).await?;
    if used > FULL {
        let why = "a session that listens is stuck in a transaction and reads nothing; when the queue is full, every enqueue fails";
        let remedy = "SELECT pid, usename, application_name, xact_start FROM pg_stat_activity WHERE state LIKE 'idle in%' ORDER BY xact_start; \
            and SELECT pg_terminate_backend(pid);";
        found.push(Finding::error(
            format!("{:.0} % of the server's notification queue is in use", used * 100.0),
            why,
            remedy,
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(format!("a notification comes back in {:.1} ms", best.as_secs_f64() * 1e3)));
    }
    Ok(found)
}

async fn notify(target: &Target<'_>, channel: &str) -> sqlx::Result<()> {
    let mut transaction = target.pool.begin().await?;
    // It writes nothing that a standby would have to confirm.
    transaction.execute("SET LOCAL synchronous_commit = off").await?;
    transaction.execute(AssertSqlSafe(format!("NOTIFY {channel}"))).await?;
    transaction.commit().await
}
