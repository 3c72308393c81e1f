//! The stream that tells open pages when to read again: a tick for as long as somebody looks.
//!
//! A tick carries nothing but numbers, and what is read because of it was read once for all
//! (`recent`). A reader that is slow gets fewer ticks: there is no queue in front of it.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::stream::{self, Stream};
use http::StatusCode;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, MissedTickBehavior};

use crate::pages::{Desk, TICK};
use crate::problem::Problem;
use crate::visitor::Visitor;

/// Streams at a time. A page that is not to be seen has none.
const MOST: usize = 2_000;
/// A stream ends after this time, and its page asks for a new one: who may look is found out again.
const LASTS: Duration = Duration::from_secs(15 * 60);

/// The places for streams.
#[derive(Debug, Clone)]
pub(crate) struct Seats(Arc<Semaphore>);

impl Seats {
    pub(crate) fn new() -> Seats {
        Seats(Arc::new(Semaphore::new(MOST)))
    }
}

/// An open stream.
struct Looking {
    _seat: OwnedSemaphorePermit,
    desk: Desk,
    ticks: tokio::time::Interval,
    until: Instant,
}

pub(crate) async fn live(
    State(desk): State<Desk>,
    axum::Extension(seats): axum::Extension<Seats>,
    _: Visitor,
) -> Result<Sse<impl Stream<Item = Result<Event, std::convert::Infallible>>>, Problem> {
    let full = || Problem::new(StatusCode::SERVICE_UNAVAILABLE, format!("{MOST} pages are open already; close some"));
    let seat = seats.0.try_acquire_owned().map_err(|_| full())?;
    // Pages that were opened at once do not ask at once.
    let first = Instant::now() + TICK.mul_f64(0.5 + fastrand::f64() / 2.0);
    let mut ticks = tokio::time::interval_at(first, TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let looking = Looking { _seat: seat, desk, ticks, until: Instant::now() + LASTS };
    let events = stream::unfold(looking, |mut looking| async {
        looking.ticks.tick().await;
        if Instant::now() >= looking.until {
            return None;
        }
        let answers = looking.desk.pauses().await.error.is_none();
        let event = Event::default().event("tick").data(if answers { "ok" } else { "down" });
        Some((Ok(event), looking))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::default()))
}
