//! What a look at the whole queue tells, shared by all scrapes of a short time.

use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::announce;
use pgq_queue::told::Told as _;
use pgq_queue::{Depth, LogsCount, Queue, QueueHealth};

/// Scrapes within this time share one count of the queue.
const SAMPLE_TTL: Duration = Duration::from_secs(10);
/// A slow count is made less often, so that counting takes at most a fiftieth of the time.
const SHARE: u32 = 50;
/// Finding nothing mostly means that it is another host's turn to report. Ask again soon, because
/// the turn may change.
const EMPTY_TTL: Duration = Duration::from_secs(30);
/// Below the ten seconds that scrapers wait.
const COUNT_TIMEOUT: Duration = Duration::from_secs(5);

/// The last look.
#[derive(Default)]
pub(super) struct Sample(Mutex<Option<Look>>);

struct Look {
    observed: Observed,
    at: Instant,
    keep: Duration,
}

/// Nothing where another host reports, except for the round trip.
#[derive(Debug, Default, Clone)]
pub(super) struct Observed {
    pub(super) depths: Vec<Depth>,
    pub(super) health: Option<QueueHealth>,
    pub(super) logged: Vec<LogsCount>,
    /// `None`: the database did not answer.
    pub(super) round_trip: Option<Duration>,
}

impl Sample {
    pub(super) async fn take(&self, queue: &Queue) -> Observed {
        let mut last = self.0.lock().await;
        match &*last {
            Some(look) if look.at.elapsed() < look.keep => return look.observed.clone(),
            _ => {}
        }
        let at = Instant::now();
        let observed = match tokio::time::timeout(COUNT_TIMEOUT, observe(queue)).await {
            Ok(Ok(observed)) => observed,
            Ok(Err(error)) => {
                tracing::debug!(error = %error.told(), "cannot read the queue's depth");
                Observed::default()
            }
            Err(_) => {
                tracing::warn!(
                    "counting the queue took longer than {COUNT_TIMEOUT:?}; its depth is left out of the metrics for a while"
                );
                Observed::default()
            }
        };
        let most = if observed.depths.is_empty() { EMPTY_TTL } else { Duration::MAX };
        let keep = SAMPLE_TTL.max(at.elapsed() * SHARE).min(most);
        *last = Some(Look { observed: observed.clone(), at, keep });
        observed
    }
}

async fn observe(queue: &Queue) -> sqlx::Result<Observed> {
    // Hosts announce themselves every period, give or take a quarter of it. One that missed two
    // announcements is gone.
    let announced = announce::PERIOD.as_secs_f64() * 2.5;
    let asked = Instant::now();
    queue.round_trip().await?;
    let round_trip = Some(asked.elapsed());
    let health = queue.health(announced).await?;
    // The others are not asked again.
    let (depths, logged) = match health {
        Some(_) => (queue.depth(announced).await?, queue.logs_count(announced).await?),
        None => Default::default(),
    };
    Ok(Observed { depths, health, logged, round_trip })
}
