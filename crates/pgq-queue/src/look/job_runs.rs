//! Puts together what the attempts, the log and the kept lines tell of each run.

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;

use super::attempts::JobAttempt;
use super::events::JobEvent;
use super::job::JobReport;
use super::lines::RunLines;

/// Lines are written with the outcome of their run, within the same statement or so.
const SAME: TimeDelta = TimeDelta::seconds(2);

/// A run, as far as it is known.
#[derive(Debug, Clone, Copy)]
pub struct JobRun<'j> {
    pub at: DateTime<Utc>,
    pub number: Option<i64>,
    pub attempt: Option<&'j JobAttempt>,
    pub error: Option<&'j Value>,
    pub lines: Option<&'j RunLines>,
}

impl JobReport {
    /// The runs of a job, the newest first.
    pub fn runs(&self) -> Vec<JobRun<'_>> {
        let mut errors: Vec<&JobEvent> = self.events.iter().filter(|event| event.traceback.is_some()).collect();
        let mut printed: Vec<&RunLines> = self.printed.iter().collect();
        let mut runs = Vec::new();
        for attempt in &self.attempts {
            let number = i64::from(attempt.attempt);
            let error = take(&mut errors, |event| event.at >= attempt.ended && run_of(event) == Some(number));
            let lines = take(&mut printed, |run| is_same(run.ended, attempt.ended) && run.attempt == attempt.attempt);
            let error = error.and_then(|event| event.traceback.as_ref());
            runs.push(JobRun { at: attempt.ended, number: Some(number), attempt: Some(attempt), error, lines });
        }
        for event in errors {
            let number = run_of(event);
            let lines =
                take(&mut printed, |run| is_same(run.ended, event.at) && Some(i64::from(run.attempt)) == number);
            runs.push(JobRun { at: event.at, number, attempt: None, error: event.traceback.as_ref(), lines });
        }
        for lines in printed {
            runs.push(JobRun {
                at: lines.ended,
                number: Some(i64::from(lines.attempt)),
                attempt: None,
                error: None,
                lines: Some(lines),
            });
        }
        runs.sort_by_key(|run| std::cmp::Reverse(run.at));
        runs
    }
}

fn is_same(one: DateTime<Utc>, other: DateTime<Utc>) -> bool {
    (one - other).abs() <= SAME
}

fn run_of(event: &JobEvent) -> Option<i64> {
    event.traceback.as_ref()?["additional_context"]["attempt"].as_i64()
}

fn take<'j, T>(all: &mut Vec<&'j T>, is_it: impl Fn(&T) -> bool) -> Option<&'j T> {
    let place = all.iter().position(|one| is_it(one))?;
    Some(all.remove(place))
}
