//! Which jobs an operator wants to see.

use std::time::Duration;

use super::cursor::Cursor;

/// What is wanted of a job. What is not set does not matter.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    pub status: Option<JobStatus>,
    pub entrypoint: Option<String>,
    /// At least this old: since its enqueue, or since its end.
    pub older: Option<Duration>,
    /// At most this old.
    pub younger: Option<Duration>,
    /// In its last error, in any case.
    pub error: Option<String>,
    /// A header, and its value as text if that matters.
    pub header: Option<(String, Option<String>)>,
    /// How the sha256 of the plugin begins that runs it now, or in which it last failed.
    pub plugin: Option<String>,
    /// The key of the cause of its last failure, of a held job.
    pub cause: Option<String>,
}

/// The status of a job in the queue, or with which it left the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobStatus {
    Queued,
    Picked,
    Failed,
    Successful,
    Exception,
    Canceled,
    Deleted,
}

impl JobStatus {
    pub const ALL: [JobStatus; 7] = [
        JobStatus::Queued,
        JobStatus::Picked,
        JobStatus::Failed,
        JobStatus::Successful,
        JobStatus::Exception,
        JobStatus::Canceled,
        JobStatus::Deleted,
    ];

    /// PgQueuer's label.
    pub fn label(self) -> &'static str {
        match self {
            JobStatus::Queued => "queued",
            JobStatus::Picked => "picked",
            JobStatus::Failed => "failed",
            JobStatus::Successful => "successful",
            JobStatus::Exception => "exception",
            JobStatus::Canceled => "canceled",
            JobStatus::Deleted => "deleted",
        }
    }

    /// Whether such a job is in the log alone.
    pub fn is_over(self) -> bool {
        !matches!(self, JobStatus::Queued | JobStatus::Picked | JobStatus::Failed)
    }
}

/// The index whose order serves a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ById,
    Held,
    Running,
    Waiting,
    Ended,
}

impl JobFilter {
    pub(super) fn way(&self) -> Way {
        match self.status {
            Some(JobStatus::Picked) => Way::Running,
            Some(JobStatus::Failed) => Way::Held,
            Some(JobStatus::Queued) if self.entrypoint.is_some() => Way::Waiting,
            Some(status) if status.is_over() => Way::Ended,
            _ => Way::ById,
        }
    }

    /// Whether the cursor is of a list with this filter.
    pub fn is_continued_by(&self, cursor: Cursor) -> bool {
        match cursor {
            Cursor::Id(_) => matches!(self.way(), Way::ById | Way::Held),
            Cursor::Claimed { .. } => self.way() == Way::Running,
            Cursor::Waiting { .. } => self.way() == Way::Waiting,
            Cursor::Logged { .. } => self.way() == Way::Ended,
        }
    }

    pub(super) fn statuses(&self) -> Vec<&'static str> {
        match self.status {
            Some(status) => vec![status.label()],
            None => vec!["queued", "picked", "failed"],
        }
    }
}
