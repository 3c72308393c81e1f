//! The result of a scan of the folder.

use super::LoadTask;

/// The result of a scan of the folder.
#[derive(Debug, Default)]
pub struct Scan {
    pub due: Vec<LoadTask>,
    pub changed: bool,
    /// Some files are still being written: scan again.
    pub unsettled: bool,
}
