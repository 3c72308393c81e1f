//! What was asked for cannot be meant: a value, a variable or a setting that is wrong whatever the
//! machine and the database are like, or options that contradict each other. It ends the process
//! with 2, where a command that was tried and failed ends it with 1.

use std::error::Error;
use std::fmt;

/// Nothing was begun, and nothing will change until the command line, the environment or the
/// configuration does.
#[derive(Debug)]
pub(super) struct UsageError(anyhow::Error);

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for UsageError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

/// A usage error with this message.
pub(super) fn usage(message: impl Into<String>) -> anyhow::Error {
    anyhow::Error::new(UsageError(anyhow::Error::msg(message.into())))
}

/// Results of checking what was asked for.
pub(super) trait IsUsage<T> {
    /// The error, if it is one, is the caller's.
    fn or_usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> IsUsage<T> for Result<T, E> {
    fn or_usage(self) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(UsageError(error.into())))
    }
}

/// The exit code that this error ends the process with: 1 failed, 2 usage.
pub fn exit_code(error: &anyhow::Error) -> u8 {
    if error.is::<UsageError>() { 2 } else { 1 }
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn a_usage_error_stays_one_under_a_context_and_says_its_causes_once() {
        let failed: Result<(), _> = "x".parse::<u8>().map(drop);
        let error = failed.or_usage().context("--hosts").expect_err("x is no number");
        assert_eq!(exit_code(&error), 2);
        assert_eq!(pgq_queue::told::told(error.as_ref()), "--hosts: invalid digit found in string");
        assert_eq!(exit_code(&usage("no")), 2);
        assert_eq!(exit_code(&anyhow::anyhow!("the disk is full")), 1);
    }
}
