//! The border between a guest and the host. Every call of the host, whether ours or WASI's, passes
//! here before any of its arguments are copied.
//!
//! The epoch interrupts a guest in its loops and at the start of its functions. A straight sequence
//! of host calls has neither.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;

use wasmtime::component::ResourceTable;
use wasmtime::{CallHook, CallHookHandler, Result, StoreContextMut};

use super::holdings;
use super::interrupt::Interrupt;
use super::limits::{Exhausted, Limits};

/// The most bytes that a call may pass: texts, headers, a piece of a body.
pub(super) const ARGUMENT_BYTES: usize = 256 << 10;
/// The most bytes that a call may pass while the guest holds a request to enqueue a job, because of
/// the payload. This is twice the accepted size, so that a payload slightly above it gets an error
/// with a reason rather than a trap.
pub(super) const PAYLOAD_BYTES: usize = 32 << 20;
/// The most bytes that a call may pass of a plugin that may use the database: a statement and its
/// parameters.
pub(super) const STATEMENT_BYTES: usize = 8 << 20;
/// The most bytes that a call may pass while the guest holds an HTTP request: a piece of its body.
pub(super) const BODY_BYTES: usize = 8 << 20;
/// The most bytes that a handler may return, over all jobs of a batch.
pub(super) const RESULT_BYTES: usize = 64 << 20;

/// The call hook of a store. `F` selects what it checks. It is a type rather than a pointer, so
/// that the compiler can inline it.
pub(super) struct Border<F>(pub(super) F);

/// The parts of a store that the border checks.
pub(super) struct BorderView<'a> {
    pub(super) interrupt: &'a mut Interrupt,
    pub(super) limits: &'a mut Limits,
    pub(super) table: &'a mut ResourceTable,
    /// Bytes in the outbox and of reports on failures, which the host holds for the guest in addition
    /// to what is behind its handles.
    pub(super) outbox: usize,
    /// The most bytes that a call of the host may pass.
    pub(super) arguments: usize,
    /// The most bytes that a call of the guest may return.
    pub(super) returns: usize,
}

type Passing<'a> = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

impl<T, F> CallHookHandler<T> for Border<F>
where
    T: Send + 'static,
    F: Fn(&mut T) -> BorderView<'_> + Send + Sync,
{
    // Written by hand, because `async_trait` would allocate on each call.
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
                    return Box::pin(Ready);
                }
                Box::pin(async move {
                    tokio::task::yield_now().await;
                    (self.0)(context.data_mut()).interrupt.begin_turn(Instant::now());
                    Ok(())
                })
            }
            // The results are copied right after this.
            CallHook::ReturningFromWasm => {
                let bytes = (self.0)(context.data_mut()).results();
                context.set_hostcall_fuel(bytes);
                Box::pin(Ready)
            }
            CallHook::CallingWasm | CallHook::ReturningFromHost => Box::pin(Ready),
        }
    }
}

impl BorderView<'_> {
    /// Check a call of the host. Fails if the run has to end; otherwise returns how many bytes the
    /// call may pass.
    // Every call of the host comes through here. When this is inlined, unused parts of the view are
    // not even created.
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

    /// The most bytes that the guest may return.
    fn results(&self) -> usize {
        self.returns.min(self.limits.left())
    }
}

fn count(limits: &mut Limits, table: &mut ResourceTable, outbox: usize) -> Result<()> {
    Ok(limits.hold(holdings::of(table).saturating_add(outbox))?)
}

/// What ran out, if that ended the run.
pub(super) fn exhausted(limits: &Limits, error: &wasmtime::Error) -> Option<Exhausted> {
    limits.exhausted.or_else(|| (limits.is_squeezed() && passes_too_much(error)).then_some(Exhausted::Memory))
}

/// Whether the run ended because a call passed too many bytes. wasmtime has no typed error for
/// that.
pub(super) fn passes_too_much(error: &wasmtime::Error) -> bool {
    format!("{error:#}").contains("fuel allocated for hostcalls")
}

/// An error-free result that is ready at once. It has no size, so boxing it does not allocate.
struct Ready;

impl Future for Ready {
    type Output = Result<()>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}
