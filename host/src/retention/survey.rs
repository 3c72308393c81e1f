//! What would go: the same judgement, and nothing is removed.

use std::time::{Duration, Instant};

use super::Bounds;
use super::pace::Pace;
use pgq_queue::{Judged, Pruner, Retention, Walk};

/// Judge what is ahead of each walk, for as long as the bounds allow. `told` hears of each batch.
/// Returns the walks that did not come to their ends.
///
/// # Errors
///
/// Fails if a statement does.
pub async fn survey(
    pruner: &Pruner,
    retention: &Retention,
    bounds: &Bounds,
    mut told: impl FnMut(&Walk, &Judged),
) -> sqlx::Result<Vec<Walk>> {
    let (mut walks, mut open) = (retention.walks(), Vec::new());
    while let Some(walk) = walks.pop() {
        // A long table leaves the others their time.
        let share = u32::try_from(walks.len()).unwrap_or(u32::MAX).saturating_add(1);
        let until = bounds.until.map(|until| Instant::now() + until.saturating_duration_since(Instant::now()) / share);
        let (mut at, mut pace) = (pruner.position(&walk).await?, Pace::new(bounds.batch));
        loop {
            let began = Instant::now();
            let judged = pruner.judge(&walk, at, pace.rows()).await?;
            told(&walk, &judged);
            // What is left where it is would be judged again and again.
            if judged.is_end || judged.next == at {
                if !judged.is_end {
                    open.push(walk);
                }
                break;
            }
            at = judged.next;
            let pause = pace.after(began.elapsed(), false);
            if until.is_some_and(|until| Instant::now() + pause >= until) || stopped(bounds, pause).await {
                open.push(walk);
                break;
            }
        }
    }
    Ok(open)
}

async fn stopped(bounds: &Bounds, pause: Duration) -> bool {
    bounds.stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none()
}
