//! What PgQueuer's own tools show of its tables, in their shapes and under their names (its
//! `core/insights.py`): whatever reads theirs reads ours.

mod browse;
mod log_rows;
mod queue_size;
mod statistics;
mod tables;

pub use browse::BrowsedJob;
pub use log_rows::LogRow;
pub use queue_size::QueueSize;
pub use statistics::{StatisticsRow, ThroughputTotal};
pub use tables::TableInfo;
