//! How a run failed, and whether another one could succeed.

use std::error::Error;
use std::fmt::{self, Display};
use std::time::Duration;

use crate::bindings::pgq::plugin::jobs;
use crate::millis::millis;

/// What a handler returns. The error is [`Failure`] by default.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// The handler could not do its part.
///
/// `?` turns every [`std::error::Error`] into a retry whose message has the whole chain of sources.
/// Where another attempt cannot help, [`OrFail::or_reject`] and [`Failure::reject`] say so:
///
/// ```
/// # use pgq_plugin_sdk::prelude::*;
/// fn half(Text(number): Text) -> Result<u32> {
///     let number: u32 = number.parse().or_reject()?;
///     if number % 2 == 1 {
///         return Err(Failure::retry("odd today").after(Duration::from_secs(60)));
///     }
///     Ok(number / 2)
/// }
/// # assert!(half(Text("x".into())).unwrap_err().is_final());
/// ```
///
/// It is no [`std::error::Error`] itself: that is what lets `?` take them all.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a failure takes effect when the handler returns it"]
pub enum Failure {
    /// Try again, as long as attempts are left.
    Retry {
        /// What went wrong. Stored in the job's traceback.
        message: String,
        /// How long to wait, in whole milliseconds. Without it, the entrypoint's back-off decides.
        after: Option<Duration>,
    },
    /// Never try again: the job fails now, for this reason.
    Reject(String),
}

impl Failure {
    /// Try again, after the entrypoint's back-off.
    pub fn retry(message: impl Into<String>) -> Self {
        Self::Retry { message: message.into(), after: None }
    }

    pub fn reject(message: impl Into<String>) -> Self {
        Self::Reject(message.into())
    }

    /// Wait this long (rounded up to whole milliseconds) instead of the back-off. A reject is not
    /// affected.
    pub fn after(mut self, delay: Duration) -> Self {
        if let Self::Retry { after, .. } = &mut self {
            *after = Some(delay);
        }
        self
    }

    #[must_use]
    pub fn message(&self) -> &str {
        match self {
            Self::Retry { message, .. } | Self::Reject(message) => message,
        }
    }

    /// Whether it rules out another attempt.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Reject(_))
    }
}

impl Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.message())
    }
}

impl<E: Error> From<E> for Failure {
    fn from(error: E) -> Self {
        let mut message = error.to_string();
        let mut source = error.source();
        while let Some(cause) = source {
            let text = cause.to_string();
            // Many errors already print their source themselves.
            if !message.ends_with(&text) {
                message.push_str(": ");
                message.push_str(&text);
            }
            source = cause.source();
        }
        Self::retry(message)
    }
}

impl From<Failure> for jobs::Failure {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Retry { message, after } => Self::Retry(jobs::RetryInfo { message, after: after.map(millis) }),
            Failure::Reject(message) => Self::Reject(message),
        }
    }
}

/// Says for any printable error whether another attempt could help.
///
/// The error is printed with `{:#}`, which is the whole chain for `anyhow::Error` and similar
/// types.
pub trait OrFail<T> {
    /// Fail the job for good.
    ///
    /// # Errors
    ///
    /// Returns a [`Failure::Reject`] with the error's text.
    fn or_reject(self) -> Result<T>;

    /// Try again, after the entrypoint's back-off.
    ///
    /// # Errors
    ///
    /// Returns a [`Failure::Retry`] with the error's text.
    fn or_retry(self) -> Result<T>;

    /// Try again after this time, in whole milliseconds.
    ///
    /// # Errors
    ///
    /// Returns a [`Failure::Retry`] with the error's text.
    fn or_retry_after(self, delay: Duration) -> Result<T>;
}

impl<T, E: Display> OrFail<T> for Result<T, E> {
    fn or_reject(self) -> Result<T> {
        self.map_err(|error| Failure::reject(format!("{error:#}")))
    }

    fn or_retry(self) -> Result<T> {
        self.map_err(|error| Failure::retry(format!("{error:#}")))
    }

    fn or_retry_after(self, delay: Duration) -> Result<T> {
        self.map_err(|error| Failure::retry(format!("{error:#}")).after(delay))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Outer {
        text: &'static str,
        source: io::Error,
    }

    impl Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(self.text)
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.source)
        }
    }

    fn outer(text: &'static str) -> Failure {
        let source = io::Error::other("disk full");
        Outer { text, source }.into()
    }

    #[test]
    fn an_error_is_a_retry_with_its_chain() {
        assert_eq!(outer("cannot write"), Failure::retry("cannot write: disk full"));
    }

    #[test]
    fn a_source_that_is_printed_already_is_not_repeated() {
        let failure = outer("cannot write: disk full");
        assert_eq!(failure.message(), "cannot write: disk full");
    }

    #[test]
    fn any_printable_error_can_be_judged() {
        let failed: Result<(), &str> = Err("no such table");
        assert_eq!(failed.or_reject(), Err(Failure::reject("no such table")));
        assert_eq!(failed.or_retry(), Err(Failure::retry("no such table")));
        let delay = Duration::from_secs(3);
        assert_eq!(failed.or_retry_after(delay), Err(Failure::retry("no such table").after(delay)));
    }

    #[test]
    fn a_reject_cannot_be_delayed() {
        let failure = Failure::reject("no").after(Duration::from_secs(1));
        assert_eq!(failure, Failure::reject("no"));
    }
}
