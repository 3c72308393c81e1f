//! `wasi:clocks/monotonic-clock`, whose waits end when they should. All else is WASI's own.

use std::time::{Duration, Instant};

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksCtxView;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::{self, Host};
use wasmtime_wasi::p2::{DynPollable, Pollable, subscribe};

use super::alarm::Alarm;

/// Shorter waits are rounded up as WASI's own are, so that a guest that polls without an end wakes no
/// thread more often than a thousand times a second.
const SHORTEST: Duration = Duration::from_millis(1);
/// To longer ones, a millisecond is nothing.
const LONGEST: Duration = Duration::from_secs(1);

/// The parts of a store that the interface uses.
pub(super) struct ClockView<'a>(pub(super) WasiClocksCtxView<'a>);

struct HasClock;

impl HasData for HasClock {
    type Data<'a> = ClockView<'a>;
}

/// In the place of WASI's own.
pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> ClockView<'_>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    let added = monotonic_clock::add_to_linker::<T, HasClock>(linker, view);
    linker.allow_shadowing(false);
    added
}

/// A wait, which a guest may poll again and again.
struct Wait(Instant);

#[wasmtime_wasi::async_trait]
impl Pollable for Wait {
    async fn ready(&mut self) {
        match Alarm::at(self.0) {
            Some(alarm) => alarm.await,
            None => tokio::time::sleep_until(self.0.into()).await,
        }
    }
}

impl Host for ClockView<'_> {
    fn now(&mut self) -> wasmtime::Result<u64> {
        self.0.now()
    }

    fn resolution(&mut self) -> wasmtime::Result<u64> {
        self.0.resolution()
    }

    fn subscribe_instant(&mut self, when: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait = when.saturating_sub(self.0.now()?);
        self.subscribe_duration(wait)
    }

    fn subscribe_duration(&mut self, duration: u64) -> wasmtime::Result<Resource<DynPollable>> {
        let wait = Duration::from_nanos(duration);
        if !(SHORTEST..=LONGEST).contains(&wait) {
            return self.0.subscribe_duration(duration);
        }
        let wait = self.0.table.push(Wait(Instant::now() + wait))?;
        subscribe(self.0.table, wait)
    }
}
