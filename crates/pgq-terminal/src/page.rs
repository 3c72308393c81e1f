//! The views, and one job.

use pgq_job::JobId;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tab {
    Overview,
    Jobs,
    Failures,
    Plugins,
    Hosts,
    Schedules,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Page {
    Tab(Tab),
    Job(JobId),
}

impl Tab {
    pub(crate) const ALL: [Tab; 6] =
        [Tab::Overview, Tab::Jobs, Tab::Failures, Tab::Plugins, Tab::Hosts, Tab::Schedules];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Tab::Overview => "Overview",
            Tab::Jobs => "Jobs",
            Tab::Failures => "Failures",
            Tab::Plugins => "Plugins",
            Tab::Hosts => "Hosts",
            Tab::Schedules => "Schedules",
        }
    }

    /// The one of a digit.
    pub(crate) fn of(digit: char) -> Option<Tab> {
        let place = digit.to_digit(10)?.checked_sub(1)?;
        Tab::ALL.get(usize::try_from(place).ok()?).copied()
    }

    /// So many further, round and round.
    pub(crate) fn next(self, by: usize) -> Tab {
        Tab::ALL[(self as usize + by) % Tab::ALL.len()]
    }
}
