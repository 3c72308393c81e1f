//! When a run has to end, and when it has to yield to others. Checked at every call of the host,
//! and at every tick while the guest computes.

use std::time::{Duration, Instant};

use super::control::{Controls, StopCause};

/// The same period as the epoch's.
const TIME_SLICE: Duration = Duration::from_millis(10);

pub(super) struct Interrupt {
    controls: Controls,
    deadline: Instant,
    /// When the other runs on this thread last had their turn.
    turn_began: Instant,
}

impl Interrupt {
    pub(super) fn new(controls: Controls, deadline: Instant) -> Interrupt {
        Interrupt { controls, deadline, turn_began: Instant::now() }
    }

    /// Prepare for the next call of the same store.
    pub(super) fn renew(&mut self, controls: Controls, deadline: Instant) {
        (self.controls, self.deadline) = (controls, deadline);
    }

    pub(super) fn controls(&self) -> &Controls {
        &self.controls
    }

    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Why the run has to end now, if it has to.
    pub(super) fn cause(&self, now: Instant) -> Option<StopCause> {
        self.controls.stop_cause().or_else(|| (now >= self.deadline).then_some(StopCause::Deadline))
    }

    /// Whether the other runs on this thread have waited long enough.
    pub(super) fn is_turn_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.turn_began) >= TIME_SLICE
    }

    /// The other runs have had their turn.
    pub(super) fn begin_turn(&mut self, now: Instant) {
        self.turn_began = now;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::control::Control;
    use super::*;

    #[test]
    fn a_run_ends_at_its_deadline_and_at_once_when_it_is_stopped() {
        let (control, now) = (Arc::new(Control::default()), Instant::now());
        let controls = Controls::of(vec![Arc::clone(&control)]);
        let interrupt = Interrupt::new(controls, now + TIME_SLICE);
        assert_eq!((interrupt.cause(now), interrupt.cause(now + TIME_SLICE)), (None, Some(StopCause::Deadline)));
        control.lose_lease();
        assert_eq!(
            (interrupt.cause(now), interrupt.cause(now + TIME_SLICE)),
            (Some(StopCause::LeaseLost), Some(StopCause::LeaseLost))
        );
    }

    #[test]
    fn others_have_their_turn_once_it_is_due() {
        let mut interrupt = Interrupt::new(Controls::default(), Instant::now());
        let later = Instant::now() + TIME_SLICE;
        assert!(interrupt.is_turn_over(later));
        interrupt.begin_turn(later);
        assert!(!interrupt.is_turn_over(later) && interrupt.is_turn_over(later + TIME_SLICE));
    }
}
