//! What can be done to many jobs at once, and to which of them.

use pgq_queue::JobStatus;

use crate::pages::icon::Icon;
use pgq_queue::job_change;

/// A change of jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Requeue,
    RetryNow,
    Reschedule,
    Prioritize,
    Cancel,
}

impl Verb {
    const ALL: [Verb; 5] = [Verb::Requeue, Verb::RetryNow, Verb::Reschedule, Verb::Prioritize, Verb::Cancel];

    pub(crate) fn named(name: &str) -> Option<Verb> {
        Verb::ALL.into_iter().find(|verb| verb.name() == name)
    }

    /// Those that change jobs of this status; `None`: jobs of any.
    pub(crate) fn of(status: Option<JobStatus>) -> impl Iterator<Item = Verb> {
        let fits = move |verb: &Verb| status.is_none_or(|status| verb.statuses().contains(&status));
        Verb::ALL.into_iter().filter(fits)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Verb::Requeue => "requeue",
            Verb::RetryNow => "retry-now",
            Verb::Reschedule => "reschedule",
            Verb::Prioritize => "priority",
            Verb::Cancel => "cancel",
        }
    }

    /// What it does to jobs.
    pub(crate) fn change(self) -> job_change::Verb {
        match self {
            Verb::Requeue => job_change::Verb::Requeue,
            Verb::RetryNow => job_change::Verb::RetryNow,
            Verb::Reschedule => job_change::Verb::Reschedule,
            Verb::Prioritize => job_change::Verb::Edit,
            Verb::Cancel => job_change::Verb::Cancel,
        }
    }

    pub(crate) fn title(self) -> &'static str {
        match self {
            Verb::Requeue => "Retry",
            Verb::RetryNow => "Run now",
            Verb::Reschedule => "Reschedule",
            Verb::Prioritize => "Set priority",
            Verb::Cancel => "Cancel",
        }
    }

    pub(crate) fn done(self) -> &'static str {
        match self {
            Verb::Prioritize => "Given another priority:",
            verb => verb.change().done(),
        }
    }

    /// What it does, to whom.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Verb::Prioritize => "Queued and held jobs get another priority. Higher ones are claimed first.",
            verb => verb.change().meaning(),
        }
    }

    /// Why jobs were left as they are.
    pub(crate) fn left(self) -> &'static str {
        self.change().left()
    }

    pub(crate) fn icon(self) -> Icon {
        match self {
            Verb::Requeue => Icon::Retry,
            Verb::RetryNow => Icon::Play,
            Verb::Reschedule => Icon::Deferred,
            Verb::Prioritize => Icon::Jobs,
            Verb::Cancel => Icon::Failed,
        }
    }

    pub(crate) fn statuses(self) -> &'static [JobStatus] {
        self.change().statuses()
    }
}
