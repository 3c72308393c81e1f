//! Looking at jobs: one with everything that is known of it, or many by a filter.
//!
//! Every read has a bound. One job is found by keys. Many are found by an index in its order, of
//! which only so many entries are read: a page that ends before the index does says where to go on.

mod attempts;
mod cause;
mod content;
mod cursor;
mod depths;
mod events;
mod failure;
mod failure_group;
mod failures;
mod filter;
mod fleet;
mod hour;
mod job;
mod jobs;
mod last_hour;
mod latency;
mod lines;
mod mask;
mod minute_times;
mod minutes;
mod overview;
mod payload;
mod plugins;
mod runs;
mod statements;
mod throughput;
mod troubles;
mod version_report;
mod whereabouts;

pub use attempts::JobAttempt;
pub use cause::Cause;
pub use content::{Content, Shape};
pub use cursor::Cursor;
pub use depths::{Amount, EntrypointDepth};
pub use events::JobEvent;
pub(super) use failure::{BY_INDEX, Failure};
pub(super) use failure_group::FailureGroups;
pub use failure_group::{FailingVersion, FailureGroup};
pub use failures::{FailureFilter, Failures, MOST_CAUSES, MOST_FAILURES, MOST_HELD};
pub use filter::{JobFilter, JobStatus};
pub use fleet::{CanaryVersion, Fleet, FleetHost, OtherWorker, ServedFile};
pub(super) use hour::Hour;
pub use job::{JobOutput, JobReport, JobRow};
pub use jobs::{JobPage, JobSummary};
pub use lines::{LinesFollower, RunLines};
pub use mask::{Masks, Pointer};
pub use minute_times::MinuteTimes;
pub use minutes::{Lately, Minute, Outcomes};
pub use overview::{EntrypointLook, MOST_ENTRYPOINTS, Overview, OverviewFilter};
pub use plugins::{JudgementLook, PluginLook, Plugins, RefusedFile, VersionLook};
pub use runs::RunTimes;
pub use statements::LOOK_STATEMENTS;
pub use troubles::{MissingHost, OpenTransaction, Troubles};
pub use version_report::{DenialLook, GrantLook, VersionReport};
