//! Which jobs a request, a page or a tool is about, as it is written.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::filter::{JobFilter, JobStatus};

/// What is wanted of a job. What is not set does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JobFilterBody {
    /// `queued`, `picked` or `failed` of jobs in the queue; `successful`, `exception`, `canceled` or
    /// `deleted` of those in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// At least this old: seconds like `30`, or with a unit like `15m`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older: Option<String>,
    /// At most this old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub younger: Option<String>,
    /// This text is in its last error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// It has this header, or this value of it: `name` or `name=value`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<String>,
    /// How the sha256 of the plugin begins that runs it, or in which it last failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plugin: Option<String>,
    /// The key of a group of failures. Such jobs are held.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
}

/// What is wrong in a filter: it names the value and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadFilter(pub String);

fn bad(detail: impl Into<String>) -> BadFilter {
    BadFilter(detail.into())
}

/// Seconds, or a number with its unit, of the parameter of this name.
pub fn asked_duration(name: &str, text: &str) -> Result<Duration, BadFilter> {
    let seconds = || text.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    seconds().or_else(|| humantime::parse_duration(text).ok()).ok_or_else(|| {
        bad(format!("{name}: {text:?} is no duration; write seconds like 30, or with a unit like 90s, 15m, 2h"))
    })
}

fn status(label: &str) -> Result<JobStatus, BadFilter> {
    JobStatus::ALL.into_iter().find(|status| status.label() == label).ok_or_else(|| {
        bad(format!("status: {label:?} is none; it is one of {}", JobStatus::ALL.map(JobStatus::label).join(", ")))
    })
}

impl JobFilterBody {
    /// As the queue takes it, if there can be such jobs.
    pub fn filter(&self) -> Result<JobFilter, BadFilter> {
        let mut status = self.status.as_deref().map(status).transpose()?;
        let time = |name, text: &Option<String>| text.as_deref().map(|text| asked_duration(name, text)).transpose();
        let header = self.header.as_deref().map(|header| match header.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (header.to_owned(), None),
        });
        let hex = |name: &str, text: &Option<String>| match text.as_deref() {
            Some(digits) if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) => {
                Err(bad(format!("{name}: {digits:?} has other characters than hexadecimal digits")))
            }
            digits => Ok(digits.map(str::to_ascii_lowercase)),
        };
        let (plugin, cause) = (hex("plugin", &self.plugin)?, hex("cause", &self.cause)?);
        if cause.is_some() {
            match status {
                None | Some(JobStatus::Failed) => status = Some(JobStatus::Failed),
                Some(other) => {
                    return Err(bad(format!("cause: only held jobs have one; leave out the status {}", other.label())));
                }
            }
        }
        if let Some(over) = status.filter(|status| status.is_over()) {
            if header.is_some() {
                return Err(bad(format!(
                    "header: headers leave the queue with their jobs, and jobs that are {} are in the log alone",
                    over.label()
                )));
            }
            if over == JobStatus::Successful && plugin.is_some() {
                return Err(bad("plugin: the log names versions only in errors, and successful jobs have none"));
            }
        }
        Ok(JobFilter {
            status,
            entrypoint: self.entrypoint.clone(),
            older: time("older", &self.older)?,
            younger: time("younger", &self.younger)?,
            error: self.error.clone(),
            header,
            plugin,
            cause,
        })
    }

    /// The same for a change that can be made to these statuses only.
    pub fn changeable(&self, can: &[JobStatus]) -> Result<JobFilter, BadFilter> {
        let mut filter = self.filter()?;
        match filter.status {
            Some(status) if !can.contains(&status) => {
                let can: Vec<&str> = can.iter().map(|status| status.label()).collect();
                Err(bad(format!(
                    "status: jobs that are {} cannot be changed so; those that are {} can",
                    status.label(),
                    can.join(", ")
                )))
            }
            None if can.len() == 1 => {
                filter.status = can.first().copied();
                Ok(filter)
            }
            _ => Ok(filter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_no_job_can_match_is_refused_by_name() {
        let body = |json: &str| serde_json::from_str::<JobFilterBody>(json).expect("a filter");
        for (json, named) in [
            (r#"{"status": "lost"}"#, "\"lost\""),
            (r#"{"older": "soon"}"#, "older: \"soon\""),
            (r#"{"plugin": "xy"}"#, "plugin: \"xy\""),
            (r#"{"status": "queued", "cause": "ab"}"#, "queued"),
            (r#"{"status": "successful", "plugin": "ab"}"#, "plugin"),
            (r#"{"status": "exception", "header": "a"}"#, "header"),
        ] {
            let problem = body(json).filter().expect_err("refused");
            assert!(problem.0.contains(named), "{json}: {problem}");
        }
        let filter = body(r#"{"cause": "AB", "older": "15m", "header": "a=b"}"#).filter().expect("a filter");
        assert_eq!((filter.status, filter.cause.as_deref()), (Some(JobStatus::Failed), Some("ab")));
        assert_eq!(filter.older, Some(Duration::from_secs(900)));
        assert!(serde_json::from_str::<JobFilterBody>(r#"{"statsu": "failed"}"#).is_err());
        let queued = body("{}").changeable(&[JobStatus::Queued]).expect("a filter");
        assert_eq!(queued.status, Some(JobStatus::Queued));
    }
}
