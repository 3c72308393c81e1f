//! Usage errors: a value, a variable or a setting that is wrong on any machine and database, or
//! options that contradict each other. They end the process with 2. A command that was tried and
//! failed ends it with 1.

use std::error::Error;
use std::fmt;

/// Nothing was started, and trying again is pointless until the command line, the environment or
/// the configuration changes.
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

/// Marks the result of a check as a usage error.
pub(super) trait OrUsage<T> {
    /// Turn an error into a usage error.
    fn or_usage(self) -> anyhow::Result<T>;
}

impl<T, E: Into<anyhow::Error>> OrUsage<T> for Result<T, E> {
    fn or_usage(self) -> anyhow::Result<T> {
        self.map_err(|error| anyhow::Error::new(UsageError(error.into())))
    }
}

/// The exit code for this error: 1 failure, 2 usage error.
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
