//! Looking at jobs: one with everything that is known of it, or many by a filter.
//!
//! Every read has a bound. One job is found by keys. Many are found by an index in its order, of
//! which only so many entries are read: a page that ends before the index does says where to go on.

mod content;
mod cursor;
mod filter;
mod job;
mod jobs;
mod lines;
mod statements;
mod whereabouts;

pub use content::{Content, Shape};
pub use cursor::Cursor;
pub use filter::{JobFilter, JobStatus};
pub use job::{JobAttempt, JobEvent, JobOutput, JobReport, JobRow};
pub use jobs::{JobPage, JobSummary};
pub use lines::{LinesFollower, RunLines};
pub use statements::LOOK_STATEMENTS;
