//! Where a guest leaves its own code: each call of the host, ours or WASI's, passes here before anything of it is copied.
//!
//! The epoch interrupts a guest at its loops and at the beginning of its functions. A straight line of calls has neither.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};

use super::control::StopCause;
use super::holdings;
use super::limits::Exhausted;
use super::state::State;

/// Bytes that a call may pass: texts, headers, a piece of a body.
pub(super) const ARGUMENT_BYTES: usize = 256 << 10;
/// Bytes that it may pass while there is a job to be enqueued: the payload. Twice of what is accepted, so that a little too much is
/// refused with a reason instead of a trap.
pub(super) const PAYLOAD_BYTES: usize = 32 << 20;
/// Bytes that a handler may return, over all jobs of a batch.
pub(super) const RESULT_BYTES: usize = 64 << 20;

/// As often as the epoch lets others on.
const TURN: Duration = Duration::from_millis(10);

pub(super) struct Border;

type Passing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

impl CallHookHandler<State> for Border {
    // Written out, since `async_trait` would have each call allocate.
    fn handle_call_event<'a, 'b, 'c>(&'a self, mut context: StoreContextMut<'b, State>, event: CallHook) -> Passing<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        match event {
            CallHook::CallingHost => {
                let now = Instant::now();
                match leave(&mut context, now) {
                    Err(error) => Box::pin(std::future::ready(Err(error))),
                    Ok(()) if now.saturating_duration_since(context.data().turn_began) >= TURN => Box::pin(async move {
                        tokio::task::yield_now().await;
                        context.data_mut().turn_began = Instant::now();
                        Ok(())
                    }),
                    Ok(()) => Box::pin(Passed),
                }
            }
            // What it returns is lifted right after this.
            CallHook::ReturningFromWasm => {
                let bytes = context.data().results();
                context.set_hostcall_fuel(bytes);
                Box::pin(Passed)
            }
            CallHook::CallingWasm | CallHook::ReturningFromHost => Box::pin(Passed),
        }
    }
}

/// The run has to end, or the call may pass so many bytes.
fn leave(context: &mut StoreContextMut<'_, State>, now: Instant) -> Result<()> {
    let state = context.data_mut();
    if let Some(cause) = state.has_to_end(now) {
        return Err(cause.into());
    }
    let bytes = state.arguments()?;
    context.set_hostcall_fuel(bytes);
    Ok(())
}

impl State {
    /// Why the run has to end now, if it has to.
    pub(super) fn has_to_end(&self, now: Instant) -> Option<StopCause> {
        self.controls.stop_cause().or_else(|| (now >= self.deadline).then_some(StopCause::Deadline))
    }

    /// Count what the host holds for the guest.
    pub(super) fn count(&mut self) -> Result<()> {
        let held = holdings::of(&mut self.table).saturating_add(self.outbox.bytes());
        Ok(self.limits.hold(held)?)
    }

    /// Bytes that the next call of the host may pass.
    fn arguments(&mut self) -> Result<usize> {
        let bytes = if self.requests > 0 { PAYLOAD_BYTES } else { ARGUMENT_BYTES };
        if self.limits.pass(bytes) {
            return Ok(bytes);
        }
        self.count()?;
        Ok(self.limits.pass_what_is_left(bytes)?)
    }

    /// Bytes that the guest may return.
    fn results(&self) -> usize {
        self.returns.min(self.limits.left())
    }

    /// What there was not enough of, if that was the end of the run.
    pub(super) fn exhausted(&self, error: &wasmtime::Error) -> Option<Exhausted> {
        self.limits.exhausted.or_else(|| (self.limits.is_squeezed() && passes_too_much(error)).then_some(Exhausted::Memory))
    }
}

/// Whether it ended at a call that passes too many bytes. wasmtime has no typed error for that.
pub(super) fn passes_too_much(error: &wasmtime::Error) -> bool {
    format!("{error:#}").contains("fuel allocated for hostcalls")
}

/// Nothing to wait for, and of no size: a box of it is no allocation.
struct Passed;

impl Future for Passed {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
