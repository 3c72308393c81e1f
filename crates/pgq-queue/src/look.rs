//! Looking at jobs: one with everything that is known of it, or many by a filter.
//!
//! Every read has a bound. One job is found by keys. Many are found by an index in its order, of
//! which only so many entries are read: a page that ends before the index does says where to go on.

mod asked;
mod at_a_glance;
mod attempts;
mod cause;
mod content;
mod cursor;
mod depths;
mod events;
mod facts;
mod failures;
mod filter;
mod fleet;
mod found_failing;
mod found_upkeep;
mod found_waiting;
mod incident;
mod incidents;
mod job;
mod job_runs;
mod jobs;
mod lines;
mod mask;
mod minute_times;
mod minutes;
mod overview;
mod payload;
mod plugins;
mod runs;
mod shell_word;
mod shorten;
pub(crate) mod statements;
mod throughput;
mod upkeep;
mod whereabouts;

pub use asked::{BadFilter, JobFilterBody, asked_duration};
pub use at_a_glance::{SaidByHosts, Totals};
pub use attempts::JobAttempt;
pub use cause::Cause;
pub use content::{Content, Shape};
pub use cursor::Cursor;
pub use depths::{Amount, EntrypointDepth};
pub use events::JobEvent;
pub use failures::{FailingVersion, FailureFilter, FailureGroup, Failures, MOST_FAILURES, MOST_HELD};
pub use filter::{JobFilter, JobStatus};
pub use fleet::{CanaryVersion, Fleet, FleetHost, OtherWorker, ServedFile};
pub use incident::{Incident, IncidentKind, IncidentVersion};
pub use incidents::Incidents;
pub use job::{JobOutput, JobReport, JobRow};
pub use job_runs::JobRun;
pub use jobs::{JobPage, JobSummary};
pub use lines::{LinesFollower, RunLines};
pub use mask::{Masks, Pointer};
pub use minute_times::MinuteTimes;
pub(super) use minutes::Memory;
pub use minutes::{Lately, Minute, Outcomes};
pub use overview::{EntrypointLook, MOST_ENTRYPOINTS, Overview, OverviewFilter};
pub use plugins::{JudgementLook, PluginLook, Plugins, RefusedFile, VersionLook};
pub use runs::RunTimes;
pub use shorten::{shorten, shorten_all};
pub use statements::LOOK_STATEMENTS;
