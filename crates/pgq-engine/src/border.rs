//! Where a guest leaves its own code: each call of the host, ours or WASI's, passes here before
//! anything of it is copied.
//!
//! The epoch interrupts a guest at its loops and at the beginning of its functions. A straight line
//! of calls has neither.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use wasmtime::component::ResourceTable;
use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};

use super::holdings;
use super::interrupt::Interrupt;
use super::limits::{Exhausted, Limits};

/// Bytes that a call may pass: texts, headers, a piece of a body.
pub(super) const ARGUMENT_BYTES: usize = 256 << 10;
/// Bytes that it may pass while there is a job to be enqueued: the payload. Twice of what is
/// accepted, so that a little too much is refused with a reason instead of a trap.
pub(super) const PAYLOAD_BYTES: usize = 32 << 20;
/// Bytes that a handler may return, over all jobs of a batch.
pub(super) const RESULT_BYTES: usize = 64 << 20;

/// The hook of a store. `F` shows it what it checks; a type and no pointer, so that the compiler
/// sees through it.
pub(super) struct Border<F>(pub(super) F);

/// What the border has of a store.
pub(super) struct BorderView<'a> {
    pub(super) interrupt: &'a mut Interrupt,
    pub(super) limits: &'a mut Limits,
    pub(super) table: &'a mut ResourceTable,
    /// Bytes in the outbox, which the host holds for the guest besides what is behind its handles.
    pub(super) outbox: usize,
    /// Bytes that a call of the host may pass.
    pub(super) arguments: usize,
    /// Bytes that a call of the guest may return.
    pub(super) returns: usize,
}

type Passing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

impl<T, F> CallHookHandler<T> for Border<F>
where
    T: Send + 'static,
    F: Fn(&mut T) -> BorderView<'_> + Send + Sync,
{
    // Written out, since `async_trait` would have each call allocate.
    fn handle_call_event<'a, 'b, 'c>(&'a self, mut context: StoreContextMut<'b, T>, event: CallHook) -> Passing<'c>
    where
        'a: 'c,
        'b: 'c,
        Self: 'c,
    {
        match event {
            CallHook::CallingHost => {
                let now = Instant::now();
                let border = (self.0)(context.data_mut());
                let is_turn_over = border.interrupt.is_turn_over(now);
                let bytes = match border.leave(now) {
                    Ok(bytes) => bytes,
                    Err(error) => return Box::pin(std::future::ready(Err(error))),
                };
                context.set_hostcall_fuel(bytes);
                if !is_turn_over {
                    return Box::pin(Passed);
                }
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    (self.0)(context.data_mut()).interrupt.begin_turn(Instant::now());
                    Ok(())
                })
            }
            // What it returns is lifted right after this.
            CallHook::ReturningFromWasm => {
                let bytes = (self.0)(context.data_mut()).results();
                context.set_hostcall_fuel(bytes);
                Box::pin(Passed)
            }
            CallHook::CallingWasm | CallHook::ReturningFromHost => Box::pin(Passed),
        }
    }
}

impl BorderView<'_> {
    /// The run has to end, or the call may pass so many bytes.
    // Each call of the host comes here. Inlined, what it does not need of the view is not even made.
    #[inline]
    fn leave(self, now: Instant) -> Result<usize> {
        let BorderView { interrupt, limits, table, outbox, arguments, .. } = self;
        if let Some(cause) = interrupt.cause(now) {
            return Err(cause.into());
        }
        if limits.pass(arguments) {
            return Ok(arguments);
        }
        count(limits, table, outbox)?;
        Ok(limits.pass_what_is_left(arguments)?)
    }

    /// Count what the host holds for the guest.
    pub(super) fn count(self) -> Result<()> {
        count(self.limits, self.table, self.outbox)
    }

    /// Bytes that the guest may return.
    fn results(&self) -> usize {
        self.returns.min(self.limits.left())
    }
}

fn count(limits: &mut Limits, table: &mut ResourceTable, outbox: usize) -> Result<()> {
    Ok(limits.hold(holdings::of(table).saturating_add(outbox))?)
}

/// What there was not enough of, if that was the end of the run.
pub(super) fn exhausted(limits: &Limits, error: &wasmtime::Error) -> Option<Exhausted> {
    limits.exhausted.or_else(|| (limits.is_squeezed() && passes_too_much(error)).then_some(Exhausted::Memory))
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
