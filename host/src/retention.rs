//! Removing old rows: one host at a time, in small batches, with pauses between them.

mod pace;
mod survey;

use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use pace::Pace;
pub use pace::{DEFAULT_BATCH, MAX_BATCH};
use pgq_queue::told::Told as _;
use pgq_queue::{Judged, PrunedTable, Pruner, Retention, Walk};
pub use survey::survey;

/// The turn is asked for again after this time, and lost after thirty seconds.
const KEEP_TURN: Duration = Duration::from_secs(1);
/// After so many failures in a row, the rest is left to the next time.
const FAILURES: u32 = 6;
/// A table is walked through ten times in the shortest age of its rows, within these bounds.
const SHORTEST_PERIOD: Duration = Duration::from_secs(10);
const LONGEST_PERIOD: Duration = Duration::from_secs(3600);
/// Hosts that start together do not ask together.
const FIRST: Duration = Duration::from_secs(2);

/// How a pass through all tables ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Nothing that is old enough is left.
    Complete,
    /// Somebody else prunes.
    Elsewhere,
    /// The others have done it already.
    Recent,
    /// Its time was over, or it was told to stop.
    Stopped,
}

/// The bounds of a pass.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Rows that are looked at in a batch, at most.
    pub batch: usize,
    pub until: Option<Instant>,
    pub stop: CancellationToken,
}

/// Prune every so often, until `stop`.
pub async fn keep(pruner: Option<Pruner>, retention: Retention, stop: CancellationToken) {
    let (Some(pruner), Some(shortest)) = (pruner, retention.shortest()) else { return stop.cancelled().await };
    let period = (shortest / 10).clamp(SHORTEST_PERIOD, LONGEST_PERIOD);
    let bounds = Bounds { batch: DEFAULT_BATCH, until: None, stop: stop.clone() };
    let mut wait = FIRST.mul_f64(0.5 + fastrand::f64());
    while stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_some() {
        wait = period.mul_f64(0.75 + fastrand::f64() / 2.0);
        let mut sums = Sums::default();
        let ended = pass(&pruner, &retention, &bounds, Some(period), |table, judged, removed| {
            sums.add(table, judged, removed);
        });
        let ended = ended.await;
        sums.report();
        if let Err(error) = ended {
            tracing::warn!(error = %error.told(), "cannot remove old rows; trying again");
        }
    }
}

/// Walk through all tables once and remove what is old enough, if nobody else does. `recently` is
/// how long ago the last complete pass must have been. `told` hears of each batch.
///
/// # Errors
///
/// Fails if one batch fails several times. What was removed stays removed.
pub async fn pass(
    pruner: &Pruner,
    retention: &Retention,
    bounds: &Bounds,
    recently: Option<Duration>,
    mut told: impl FnMut(PrunedTable, &Judged, u64),
) -> sqlx::Result<Ended> {
    let turn = pruner.turn().await?;
    if !turn.is_mine {
        return Ok(Ended::Elsewhere);
    }
    let mut pass = Pass { pruner, bounds, pace: Pace::new(bounds.batch), is_busy: turn.is_busy, asked: Instant::now() };
    let was_recent =
        |period: Duration| turn.ended_ms.is_some_and(|ms| u128::from(ms.unsigned_abs()) < period.as_millis());
    if recently.is_some_and(was_recent) {
        pruner.end_turn(false).await?;
        return Ok(Ended::Recent);
    }
    let ended = pass.walks(retention, &mut told).await;
    if !matches!(ended, Ok(Ended::Elsewhere)) {
        pruner.end_turn(matches!(ended, Ok(Ended::Complete))).await?;
    }
    ended
}

struct Pass<'a> {
    pruner: &'a Pruner,
    bounds: &'a Bounds,
    pace: Pace,
    is_busy: bool,
    /// When the turn was asked for.
    asked: Instant,
}

impl Pass<'_> {
    async fn walks(
        &mut self,
        retention: &Retention,
        told: &mut impl FnMut(PrunedTable, &Judged, u64),
    ) -> sqlx::Result<Ended> {
        for walk in retention.walks() {
            let ended = self.walk(&walk, told).await?;
            if ended != Ended::Complete {
                return Ok(ended);
            }
        }
        Ok(Ended::Complete)
    }

    async fn walk(&mut self, walk: &Walk, told: &mut impl FnMut(PrunedTable, &Judged, u64)) -> sqlx::Result<Ended> {
        let (mut at, mut failures) = (None, 0);
        loop {
            let began = Instant::now();
            let pause = match self.batch(walk, at).await {
                Ok(None) => return Ok(Ended::Elsewhere),
                Ok(Some((judged, removed))) => {
                    (at, failures) = (Some(judged.next), 0);
                    told(walk.table, &judged, removed);
                    if judged.is_end {
                        return Ok(Ended::Complete);
                    }
                    self.pace.after(began.elapsed(), self.is_busy)
                }
                Err(error) => {
                    failures += 1;
                    if failures == FAILURES {
                        return Err(error);
                    }
                    tracing::debug!(error = %error.told(), table = walk.table.label(), "a batch of old rows stays for now");
                    // Whether it was committed is not known.
                    at = None;
                    self.pace.failed(failures)
                }
            };
            if self.bounds.until.is_some_and(|until| Instant::now() + pause >= until) {
                return Ok(Ended::Stopped);
            }
            if self.bounds.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return Ok(Ended::Stopped);
            }
        }
    }

    /// `None`: somebody else prunes by now.
    async fn batch(&mut self, walk: &Walk, at: Option<i64>) -> sqlx::Result<Option<(Judged, u64)>> {
        if self.asked.elapsed() > KEEP_TURN {
            let turn = self.pruner.turn().await?;
            if !turn.is_mine {
                return Ok(None);
            }
            (self.asked, self.is_busy) = (Instant::now(), turn.is_busy);
        }
        let from = match at {
            Some(at) => at,
            None => self.pruner.begin(walk).await?,
        };
        let judged = self.pruner.judge(walk, from, self.pace.rows()).await?;
        if judged.rows() == 0 && judged.next == from {
            return Ok(Some((judged, 0)));
        }
        Ok(self.pruner.remove(walk, from, &judged).await?.map(|removed| (judged, removed)))
    }
}

/// What a host says after a pass.
#[derive(Debug, Default)]
struct Sums {
    removed: u64,
    uncounted: u64,
}

impl Sums {
    fn add(&mut self, table: PrunedTable, judged: &Judged, removed: u64) {
        metrics::counter!("pgq_host_pruned_rows_total", "table" => table.label()).increment(removed);
        self.removed += removed;
        self.uncounted += judged.uncounted;
    }

    fn report(&self) {
        if self.removed > 0 {
            tracing::info!(rows = self.removed, "old rows were removed");
        }
        if self.uncounted > 0 {
            tracing::warn!(
                rows = self.uncounted,
                "rows of the log are old enough to go and stay, because they are not counted into the statistics: does no host count, with --log-aggregation-interval 0?"
            );
        }
    }
}
