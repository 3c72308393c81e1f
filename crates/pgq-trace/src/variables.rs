//! Variables of the environment, and what is wrong with them.

use std::time::Duration;

/// Reads variables, and collects what cannot be used.
pub(crate) struct Reading<'v> {
    pub(crate) variable: &'v dyn Fn(&str) -> Option<String>,
    pub(crate) mistakes: Vec<String>,
}

impl Reading<'_> {
    /// The value, if it is set.
    pub(crate) fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// The variable for traces, or that for all signals; its name and value.
    pub(crate) fn of_signal(&self, what: &str) -> Option<(String, String)> {
        let names = [format!("OTEL_EXPORTER_OTLP_TRACES_{what}"), format!("OTEL_EXPORTER_OTLP_{what}")];
        names.into_iter().find_map(|name| self.get(&name).map(|value| (name, value)))
    }

    /// A whole number.
    pub(crate) fn number(&mut self, name: &str, default: usize, least: usize, most: usize) -> usize {
        let Some(told) = self.get(name) else { return default };
        match told.trim().parse::<usize>() {
            Ok(number) if (least..=most).contains(&number) => number,
            _ => {
                self.mistakes.push(format!("{name} is {told:?}; it must be a whole number from {least} to {most}"));
                default
            }
        }
    }

    /// Of the first variable that is set, in milliseconds.
    pub(crate) fn time(&mut self, name: &str, general: &str, default: u64) -> Duration {
        let name = if self.get(name).is_none() && !general.is_empty() { general } else { name };
        let Some(told) = self.get(name) else { return Duration::from_millis(default) };
        match told.trim().parse::<u64>() {
            Ok(ms @ 1..=3_600_000) => Duration::from_millis(ms),
            _ => {
                self.mistakes
                    .push(format!("{name} is {told:?}; it must be a number of milliseconds from 1 to 3600000"));
                Duration::from_millis(default)
            }
        }
    }
}
