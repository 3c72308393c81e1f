//! Which functions can be handlers, and what they may return.

use serde::Serialize;

use crate::{Bytes, Failure, FromPayload, Job, Json, Outcome, Result, Text};

pub(crate) type BoxedHandler = Box<dyn Fn(&Job<'_>) -> Result<Outcome>>;
pub(crate) type BoxedBatchHandler = Box<dyn Fn(&[Job<'_>]) -> Vec<Result<Outcome>>>;

/// A function that runs one job: `fn(&Job) -> R` or `fn(&Job, P) -> R`, where `P` is [taken from
/// the payload](FromPayload) and `R` is a [`Reply`].
///
/// `Args` only tells the two forms apart; it is always inferred.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a job handler",
    note = "a handler is `fn(&Job) -> R` or `fn(&Job, P) -> R`: `P` is `Json<_>`, `Text`, `Bytes` or an `Option` of them, \
            `R` is `()`, `Outcome`, `Json<_>`, `Text`, `Bytes` or a `Result` of them"
)]
pub trait Handler<Args> {
    fn run(&self, job: &Job<'_>) -> Result<Outcome>;
}

impl<F, R> Handler<()> for F
where
    F: Fn(&Job<'_>) -> R,
    R: Reply,
{
    fn run(&self, job: &Job<'_>) -> Result<Outcome> {
        self(job).reply()
    }
}

impl<F, P, R> Handler<(P,)> for F
where
    F: Fn(&Job<'_>, P) -> R,
    P: FromPayload,
    R: Reply,
{
    fn run(&self, job: &Job<'_>) -> Result<Outcome> {
        let payload = P::from_payload(job.payload())?;
        self(job, payload).reply()
    }
}

/// What a handler may return.
#[diagnostic::on_unimplemented(
    message = "a handler cannot return `{Self}`",
    note = "it returns `()`, `Outcome`, `Json<_>`, `Text`, `Bytes` or a `Result` of them"
)]
pub trait Reply {
    /// Convert to what the queue is told.
    ///
    /// # Errors
    ///
    /// Fails if the value is a failure, or cannot be represented as JSON.
    fn reply(self) -> Result<Outcome>;
}

impl Reply for () {
    fn reply(self) -> Result<Outcome> {
        Ok(Outcome::done())
    }
}

impl Reply for Outcome {
    fn reply(self) -> Result<Outcome> {
        Ok(self)
    }
}

impl Reply for Bytes {
    fn reply(self) -> Result<Outcome> {
        Ok(Outcome::output(self.0))
    }
}

impl Reply for Text {
    fn reply(self) -> Result<Outcome> {
        Ok(Outcome::output(self.0))
    }
}

impl<T: Serialize> Reply for Json<T> {
    fn reply(self) -> Result<Outcome> {
        Outcome::json(&self.0)
    }
}

impl<T: Reply, E: Into<Failure>> Reply for Result<T, E> {
    fn reply(self) -> Result<Outcome> {
        self.map_err(Into::into)?.reply()
    }
}
