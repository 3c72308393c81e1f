//! What was logged in the last hour, by minutes, as far as it was read.

use std::collections::BTreeMap;
use std::time::Instant;

use chrono::{DateTime, Utc};
use serde::Serialize;

/// Log rows by status.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Outcomes {
    /// Enqueues, and jobs that were put back.
    pub queued: i64,
    /// Claims, where they are logged.
    pub picked: i64,
    pub successful: i64,
    /// Failed for good, and held.
    pub failed: i64,
    /// Failed for good, and deleted.
    pub exception: i64,
    pub canceled: i64,
    pub deleted: i64,
}

impl Outcomes {
    /// Jobs that ended.
    pub fn ended(&self) -> i64 {
        self.successful + self.failed + self.exception + self.canceled
    }

    pub(super) fn add(&mut self, status: &str, jobs: i64) {
        let count = match status {
            "queued" => &mut self.queued,
            "picked" => &mut self.picked,
            "successful" => &mut self.successful,
            "failed" => &mut self.failed,
            "exception" => &mut self.exception,
            "canceled" => &mut self.canceled,
            "deleted" => &mut self.deleted,
            _ => return,
        };
        *count += jobs;
    }

    fn add_all(&mut self, other: &Outcomes) {
        self.queued += other.queued;
        self.picked += other.picked;
        self.successful += other.successful;
        self.failed += other.failed;
        self.exception += other.exception;
        self.canceled += other.canceled;
        self.deleted += other.deleted;
    }
}

/// A minute of the clock.
#[derive(Debug, Clone, Serialize, utoipa::ToSchema)]
pub struct Minute {
    /// Its beginning.
    pub at: DateTime<Utc>,
    #[serde(flatten)]
    pub outcomes: Outcomes,
}

/// What was logged of one entrypoint lately.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Lately {
    pub minute: Outcomes,
    pub five_minutes: Outcomes,
    pub hour: Outcomes,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Throughput {
    /// The last sixty, the oldest first. The last one is not over.
    pub(super) minutes: Vec<Minute>,
    pub(super) by_name: BTreeMap<String, Lately>,
    /// Whether there was more to count than is counted for a look.
    pub(super) cut: bool,
}

type ByName = BTreeMap<String, Outcomes>;

/// The last hour as far as it was read.
#[derive(Debug, Default)]
pub(super) struct Counted {
    pub(super) begun: Option<Instant>,
    pub(super) read: Option<Instant>,
    /// By minutes since 1970.
    pub(super) minutes: BTreeMap<i64, ByName>,
    /// In the last five minutes, and in the last one.
    pub(super) lately: BTreeMap<String, (Outcomes, Outcomes)>,
    /// The last minute that was read.
    pub(super) now: i64,
    pub(super) cut: bool,
}

impl Counted {
    /// The last so many minutes of one entrypoint, or of all.
    pub(super) fn tell(&self, only: Option<&str>, minutes: i64) -> Throughput {
        let is_asked_for = |name: &str| only.is_none_or(|only| only == name);
        let mut by_name = BTreeMap::<String, Lately>::new();
        for (name, outcomes) in self.minutes.values().flatten().filter(|(name, _)| is_asked_for(name)) {
            by_name.entry(name.clone()).or_default().hour.add_all(outcomes);
        }
        for (name, (five, one)) in self.lately.iter().filter(|(name, _)| is_asked_for(name)) {
            let lately = by_name.entry(name.clone()).or_default();
            (lately.five_minutes, lately.minute) = (*five, *one);
        }
        let minute = |minute: i64| {
            let mut outcomes = Outcomes::default();
            let of_it = self.minutes.get(&minute).into_iter().flatten();
            of_it.filter(|(name, _)| is_asked_for(name)).for_each(|(_, more)| outcomes.add_all(more));
            Minute { at: DateTime::from_timestamp(minute * 60, 0).unwrap_or_default(), outcomes }
        };
        let minutes = (self.now - minutes + 1..=self.now).map(minute).collect();
        Throughput { minutes, by_name, cut: self.cut }
    }
}
