//! `-v` and `-q`: how much of stderr somebody wants.

use clap::{ArgAction, Args};

/// Of every verb. They may stand before or after it.
#[derive(Debug, Clone, Copy, Default, Args)]
pub(super) struct VerbosityArgs {
    /// Log more: a level more each time (-v, -vv); a verb that logs nothing of its own begins with INFO
    #[arg(short, long, global = true, action = ArgAction::Count, help_heading = "Messages")]
    verbose: u8,
    /// Say less: no status messages, and a level less in the log each time (-q, -qq). Errors are said
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "verbose", help_heading = "Messages")]
    quiet: u8,
}

/// From the least to the most.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

impl VerbosityArgs {
    /// Whether status messages are not wanted.
    pub(super) fn is_quiet(self) -> bool {
        self.quiet > 0
    }

    /// This level of the log, and so many more or less. Errors are logged all the same.
    pub(super) fn level(self, asked: &'static str) -> &'static str {
        let place = LEVELS.iter().position(|level| *level == asked).unwrap_or(3);
        let place = (place + usize::from(self.verbose)).saturating_sub(usize::from(self.quiet));
        LEVELS[place.clamp(1, LEVELS.len() - 1)]
    }

    /// The level of a verb that has no log of its own, if one is wanted.
    pub(super) fn of_verb(self) -> Option<&'static str> {
        (self.verbose > 0).then(|| self.level("warn"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_letter_is_a_level_and_errors_are_always_logged() {
        let verbose = |verbose| VerbosityArgs { verbose, quiet: 0 };
        let quiet = |quiet| VerbosityArgs { verbose: 0, quiet };
        assert_eq!([0, 1, 2, 9].map(|times| verbose(times).level("info")), ["info", "debug", "trace", "trace"]);
        assert_eq!([1, 2, 9].map(|times| quiet(times).level("info")), ["warn", "error", "error"]);
        assert_eq!((verbose(1).level("error"), quiet(1).level("trace")), ("warn", "debug"));
        assert_eq!([0, 1, 2].map(|times| verbose(times).of_verb()), [None, Some("info"), Some("debug")]);
        assert!(quiet(1).is_quiet() && !verbose(1).is_quiet());
    }
}
