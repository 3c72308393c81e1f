//! Which version of a plugin ran each attempt. The statement that records the outcome writes the
//! row; old rows are pruned.

use std::time::Duration;

use pgq_job::Traffic;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// 1 for the first run.
    pub number: u32,
    /// The key of the plugin's version.
    pub plugin: i64,
    /// Wall time.
    pub elapsed: Duration,
    /// Peak of its linear memories, in bytes.
    pub memory: usize,
    /// Time on a processor.
    pub processor: Duration,
    /// Outgoing requests.
    pub traffic: Traffic,
}

/// Attempts column by column, as `unnest` takes them.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    pub(super) number: Vec<Option<i32>>,
    pub(super) plugin: Vec<Option<i64>>,
    pub(super) elapsed_us: Vec<Option<i64>>,
    pub(super) memory: Vec<Option<i64>>,
}

/// What the newest additions have of them, column by column.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) cpu_us: Vec<Option<i64>>,
    pub(super) sent: Vec<Option<i64>>,
    pub(super) received: Vec<Option<i64>>,
    pub(super) requests: Vec<Option<i32>>,
}

impl Attempts {
    pub(super) fn of(attempts: impl IntoIterator<Item = Option<Attempt>>) -> Attempts {
        let mut columns = Attempts::default();
        for attempt in attempts {
            columns.number.push(attempt.map(|a| i32::try_from(a.number).unwrap_or(i32::MAX)));
            columns.plugin.push(attempt.map(|a| a.plugin));
            columns.elapsed_us.push(attempt.map(|a| i64::try_from(a.elapsed.as_micros()).unwrap_or(i64::MAX)));
            columns.memory.push(attempt.map(|a| i64::try_from(a.memory).unwrap_or(i64::MAX)));
        }
        columns
    }
}

impl Figures {
    pub(super) fn of(attempts: impl IntoIterator<Item = Option<Attempt>>) -> Figures {
        let mut columns = Figures::default();
        for attempt in attempts {
            columns.cpu_us.push(attempt.map(|a| i64::try_from(a.processor.as_micros()).unwrap_or(i64::MAX)));
            // A NULL takes no bytes in a row, and most runs send nothing.
            let traffic = attempt.map(|a| a.traffic).filter(|traffic| traffic.requests > 0);
            columns.sent.push(traffic.map(|traffic| i64::try_from(traffic.sent).unwrap_or(i64::MAX)));
            columns.received.push(traffic.map(|traffic| i64::try_from(traffic.received).unwrap_or(i64::MAX)));
            columns.requests.push(traffic.map(|traffic| i32::try_from(traffic.requests).unwrap_or(i32::MAX)));
        }
        columns
    }
}
