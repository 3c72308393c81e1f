//! What a guest says about its own failure, in the words of its language.

use std::collections::BTreeMap;

use crate::printable::{cut, printable};
use pgq_job::{Fault, FaultKind, Job, JobId};

const MAX_KIND_BYTES: usize = 256;
const MAX_MESSAGE_BYTES: usize = 8 << 10;
const MAX_TRACEBACK_BYTES: usize = 16 << 10;

/// Types of exceptions that only the host and PgQueuer write. Operators and `doctor` count them.
const OF_THE_HOST: [&str; 2] = ["WorkerLost", "OutcomeRefused"];

/// One run's report.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct FailureReport {
    kind: String,
    message: String,
    traceback: String,
}

impl FailureReport {
    pub(super) fn new(kind: &str, message: &str, traceback: &str) -> FailureReport {
        let kind = printable(cut(kind.trim(), MAX_KIND_BYTES)).into_owned();
        let is_ours = OF_THE_HOST.contains(&&*kind) || FaultKind::ALL.iter().any(|own| own.name() == kind);
        FailureReport {
            // `Retry` and `Reject` mean what they say, whoever says it.
            kind: if is_ours && !["Retry", "Reject"].contains(&&*kind) { format!("guest {kind}") } else { kind },
            message: cut(message, MAX_MESSAGE_BYTES).to_owned(),
            traceback: end(traceback).to_owned(),
        }
    }

    /// How many bytes the host holds for it.
    fn bytes(&self) -> usize {
        self.kind.len() + self.message.len() + self.traceback.len() + size_of::<FailureReport>()
    }

    /// Put it in place of what the host knows. The guest's frames of a trap follow its own traceback.
    pub(super) fn describe(self, fault: &mut Fault) {
        let FailureReport { kind, message, traceback } = self;
        if !kind.is_empty() {
            fault.reported = Some(kind);
        }
        if !message.is_empty() {
            fault.message = message;
        }
        if !traceback.is_empty() {
            fault.traceback = match &*fault.traceback {
                "" => traceback,
                frames => format!("{}\n\n{frames}", traceback.trim_end()),
            };
        }
    }
}

/// The reports of one call, of which a batch has several.
#[derive(Debug, Default)]
pub(super) struct FailureReports {
    of_jobs: BTreeMap<JobId, FailureReport>,
    bytes: usize,
}

impl FailureReports {
    /// Add a report, in place of an earlier one. Returns how many bytes it takes.
    pub(super) fn add(&mut self, job: &Job, report: FailureReport) -> usize {
        let bytes = report.bytes();
        self.bytes += bytes;
        if let Some(before) = self.of_jobs.insert(job.id, report) {
            self.bytes -= before.bytes();
        }
        bytes
    }

    pub(super) fn take(&mut self, job: JobId) -> Option<FailureReport> {
        let report = self.of_jobs.remove(&job)?;
        self.bytes -= report.bytes();
        Some(report)
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

/// The end of a text that is too long, from the beginning of a line if there is one.
fn end(text: &str) -> &str {
    let Some(excess) = text.len().checked_sub(MAX_TRACEBACK_BYTES).filter(|excess| *excess > 0) else { return text };
    let end = &text[text.ceil_char_boundary(excess)..];
    end.split_once('\n').map_or(end, |(_, lines)| if lines.is_empty() { end } else { lines })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_traceback_and_the_beginning_of_the_rest_are_kept() {
        let report = FailureReport::new(&"K".repeat(1_000), &"m".repeat(10_000), &"line é\n".repeat(10_000));
        assert_eq!((report.kind.len(), report.message.len()), (MAX_KIND_BYTES, MAX_MESSAGE_BYTES));
        assert!(report.traceback.len() <= MAX_TRACEBACK_BYTES && report.traceback.starts_with("line é\n"));
        assert_eq!(end(&format!("{}\n", "é".repeat(10_000))).chars().count(), MAX_TRACEBACK_BYTES / 2);
    }

    #[test]
    fn a_guest_cannot_speak_for_the_host() {
        for (said, kept) in [
            ("KeyError", "KeyError"),
            ("WorkerLost", "guest WorkerLost"),
            ("Trap", "guest Trap"),
            ("Retry", "Retry"),
            ("a\nb", "a\\nb"),
        ] {
            assert_eq!(FailureReport::new(said, "", "").kind, kept);
        }
    }

    #[test]
    fn what_is_empty_leaves_what_is_known_and_frames_come_last() {
        let mut fault = Fault::new(FaultKind::Trap, "unreachable");
        fault.traceback = "frames".into();
        FailureReport::default().describe(&mut fault);
        assert_eq!((fault.name(), &*fault.message, &*fault.traceback), ("Trap", "unreachable", "frames"));
        FailureReport::new("KeyError", "'name'", "in hello\n").describe(&mut fault);
        assert_eq!((fault.name(), &*fault.message), ("KeyError", "'name'"));
        assert_eq!(fault.traceback, "in hello\n\nframes");
    }
}
