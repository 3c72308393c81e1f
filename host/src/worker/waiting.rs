//! What the claim loop waits for between two claims.

use std::time::Duration;

use tokio::time::Instant;

use super::Worker;
use super::drain::{self, Drain};
use super::settings::{Ended, Mode};
use super::targets::Targets;
use crate::plugins::PluginSet;
use pgq_engine::Control;
use pgq_queue::Event;
use pgq_queue::told::Told as _;

const LAST_RETRY: Duration = Duration::from_secs(5);
/// The shortest wait for a deferred job.
const MIN_WAIT: Duration = Duration::from_millis(1);
/// The same while this host has jobs locked.
const OWN_LOCKS: Duration = Duration::from_millis(20);

/// What events ask for.
#[derive(Default)]
struct Heard {
    look: bool,
    /// The listener is lost, and the settings make that a reason to end.
    end: bool,
}

impl Worker {
    /// Take in the events that are there. Returns whether the listener is lost, and that is a reason
    /// to end.
    pub(super) fn listener_is_lost(&mut self) -> bool {
        let mut heard = Heard::default();
        while let Ok(event) = self.events.try_recv() {
            self.hear(event, false, &mut heard);
        }
        heard.end
    }

    /// Wait until there is room for enough jobs.
    pub(super) async fn wait_for_room(&mut self, prefetch: usize) -> Option<Ended> {
        // Short jobs are claimed by half a batch. A place between long jobs is filled as soon as it
        // is free.
        let enough = (prefetch / 2).max(1);
        loop {
            // While a suspect runs alone, its end is what matters.
            let most = if self.executor.is_open() { self.capacity.max() + prefetch - enough } else { usize::MAX };
            self.capacity.wake_at(most);
            let (free, ahead) = self.room(prefetch);
            if free + ahead >= enough {
                return None;
            }
            if let Some(ended) = self.freed().await {
                return Some(ended);
            }
        }
    }

    /// Wait until one of the open transactions with locked jobs has ended.
    pub(super) async fn wait_for_transaction(&mut self) -> Option<Ended> {
        while !self.batches.are_open() {
            if let Some(ended) = self.freed().await {
                return Some(ended);
            }
        }
        None
    }

    /// Wait until a run or a transaction ends, or for an event.
    async fn freed(&mut self) -> Option<Ended> {
        let mut heard = Heard::default();
        tokio::select! {
            () = self.stop.cancelled() => return Some(Ended::Stopped),
            () = self.capacity.freed() => {}
            Some(event) = self.events.recv() => self.hear(event, false, &mut heard),
        }
        heard.end.then_some(Ended::ListenerLost)
    }

    /// Wait for so long, for this, or for a reason to claim again.
    pub(super) async fn wait_for(&mut self, longest: Duration, this: impl Future<Output = ()>) -> Option<Ended> {
        let until = Instant::now() + longest;
        tokio::pin!(this);
        loop {
            let mut heard = Heard::default();
            tokio::select! {
                () = self.stop.cancelled() => return Some(Ended::Stopped),
                () = tokio::time::sleep_until(until) => return None,
                () = &mut this => return None,
                Ok(()) = self.plugins.changed() => return None,
                Some(event) = self.events.recv() => self.hear(event, false, &mut heard),
            }
            if heard.end {
                return Some(Ended::ListenerLost);
            }
            if heard.look {
                return None;
            }
        }
    }

    /// Wait for an event, for a deferred job, or for the next poll.
    pub(super) async fn wait_for_work(
        &mut self,
        plugins: &PluginSet,
        targets: &Targets,
        look_began: Instant,
        drain: &mut Drain,
    ) -> sqlx::Result<Option<Ended>> {
        let draining = self.settings.mode == Mode::Drain;
        if draining
            && self.leases.is_empty()
            && let Some(ended) = self.watchdog.ask(drain.ended(&self.queue, plugins)).await?
        {
            return Ok(Some(ended));
        }
        let longest =
            if draining { self.settings.dequeue_timeout.min(drain::POLL) } else { self.settings.dequeue_timeout };
        // What is due now may be what this host has just locked.
        let least = if self.batches.are_empty() { MIN_WAIT } else { OWN_LOCKS };
        let poll = || longest.mul_f64(0.8 + fastrand::f64() / 5.0);
        let (mut poll_in, mut next_due) = (poll(), self.next_due(targets, Some(look_began.elapsed())).await?);
        let mut slept_from = Instant::now();
        let waiting = self.idle.wait_for(if draining { &[] } else { &targets.all });
        loop {
            let is_poll = next_due.is_none_or(|due| due > poll_in);
            let until = slept_from + next_due.map_or(poll_in, |due| due.max(least).min(poll_in));
            let mut heard = Heard::default();
            tokio::select! {
                () = self.stop.cancelled() => return Ok(Some(Ended::Stopped)),
                () = tokio::time::sleep_until(until) => {
                    if !is_poll {
                        // Whoever claims it, no notification says so.
                        self.queue.stir();
                        return Ok(None);
                    }
                    if draining || targets.all.is_empty() {
                        return Ok(None);
                    }
                    // One statement instead of a claim for each kind of entrypoint.
                    next_due = self.next_due(targets, None).await?;
                    waiting.ask_again();
                    if next_due.is_some_and(|due| due.is_zero()) {
                        self.queue.stir();
                        return Ok(None);
                    }
                    (poll_in, slept_from) = (poll(), Instant::now());
                }
                due = waiting.answer() => {
                    if due.is_some_and(|due| due.is_zero()) {
                        self.queue.stir();
                        return Ok(None);
                    }
                    (next_due, poll_in, slept_from) = (due, poll(), Instant::now());
                }
                Ok(()) = self.plugins.changed() => return Ok(None),
                Some(event) = self.events.recv() => self.hear(event, !targets.limited.is_empty(), &mut heard),
                // The end of a run may let the next trial begin.
                () = self.capacity.freed(), if targets.is_held_back() => heard.look = true,
                () = self.leases.released(), if draining => heard.look = self.leases.is_empty(),
            }
            if heard.end {
                return Ok(Some(Ended::ListenerLost));
            }
            if heard.look {
                return Ok(None);
            }
        }
    }

    /// Time until the next job is due. Zero: one is due already, and became so within this time;
    /// `None`: whenever.
    async fn next_due(&self, targets: &Targets, since: Option<Duration>) -> sqlx::Result<Option<Duration>> {
        if targets.all.is_empty() {
            return Ok(None);
        }
        self.watchdog.ask(self.queue.next_due(targets.back(since))).await
    }

    fn hear(&self, event: Event, slots_matter: bool, heard: &mut Heard) {
        self.queue.hear();
        match event {
            Event::Work => heard.look = true,
            Event::Back => {
                self.queue.access().found();
                heard.look = true;
            }
            // Deleted rows only matter to a worker that waits for a slot, or for the last job to
            // end.
            Event::Gone => heard.look |= slots_matter || self.settings.mode == Mode::Drain,
            Event::Cancelled(ids) => self.leases.tell(&ids, Control::cancel),
            Event::Lost => {
                self.queue.access().lost();
                heard.end = self.settings.shutdown_on_listener_failure;
            }
        }
    }

    pub(super) async fn back_off(&self, retry: &mut Duration, error: &sqlx::Error) -> Option<Ended> {
        tracing::warn!(error = %error.told(), retry_in_ms = retry.as_millis(), "cannot reach the queue; trying again");
        let wait = retry.mul_f64(0.5 + fastrand::f64() / 2.0);
        *retry = (*retry * 2).min(LAST_RETRY);
        self.stop.run_until_cancelled(self.queue.access().pause(wait)).await.is_none().then_some(Ended::Stopped)
    }
}
