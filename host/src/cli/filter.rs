//! Which jobs a verb is about.

use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::usage::usage;
use super::values::digest;
use crate::config::parse_duration;
use pgq_queue::{JobFilter, JobStatus};

#[derive(Debug, Args)]
pub(super) struct FilterArgs {
    /// Jobs of this entrypoint
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// Jobs with this status; `picked` jobs run, `failed` ones are held, the last four are in the log
    #[arg(long, value_parser = PossibleValuesParser::new(JobStatus::ALL.map(JobStatus::label)))]
    status: Option<String>,
    #[command(flatten)]
    matches: MatchArgs,
}

#[derive(Debug, Args)]
pub(super) struct MatchArgs {
    /// Jobs at least this old: enqueued, or ended, so long ago
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    older: Option<Duration>,
    /// Jobs at most this old
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    younger: Option<Duration>,
    /// Jobs with this text in their last error
    #[arg(long, value_name = "TEXT")]
    error: Option<String>,
    /// Jobs with this header, or with this value of it
    #[arg(long, value_name = "NAME[=VALUE]")]
    header: Option<String>,
    /// Jobs that run in, or last failed in, the plugin version whose sha256 begins so
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    plugin: Option<String>,
}

impl MatchArgs {
    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        let MatchArgs { older, younger, error, header, plugin } = self;
        older.is_none() && younger.is_none() && [error, header, plugin].iter().all(|text| text.is_none())
    }

    /// Held jobs that match, of this entrypoint or of all.
    pub(super) fn of_held(&self, entrypoint: Option<String>) -> JobFilter {
        self.filter(Some(JobStatus::Failed), entrypoint)
    }

    fn filter(&self, status: Option<JobStatus>, entrypoint: Option<String>) -> JobFilter {
        let MatchArgs { older, younger, error, header, plugin } = self;
        let header = header.as_ref().map(|header| match header.split_once('=') {
            Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
            None => (header.clone(), None),
        });
        let (older, younger, error, plugin) = (*older, *younger, error.clone(), plugin.clone());
        JobFilter { status, entrypoint, older, younger, error, header, plugin, cause: None }
    }
}

impl FilterArgs {
    /// Whether it asks for nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.entrypoint.is_none() && self.status.is_none() && self.matches.is_empty()
    }

    /// What it asks for, if that can be known.
    pub(super) fn filter(&self) -> anyhow::Result<JobFilter> {
        let status = JobStatus::ALL.into_iter().find(|status| Some(status.label()) == self.status.as_deref());
        if let Some(status) = status.filter(|status| status.is_over())
            && self.matches.header.is_some()
        {
            return Err(usage(format!(
                "--header does not go with --status {}: headers leave the queue with their jobs, and the log has none",
                status.label()
            )));
        }
        if status == Some(JobStatus::Successful) && self.matches.plugin.is_some() {
            return Err(usage(
                "--plugin does not go with --status successful: the log names versions only in errors; `pgq-host job ID` tells the version of a run",
            ));
        }
        Ok(self.matches.filter(status, self.entrypoint.clone()))
    }

    /// The same for a verb that changes jobs, and can do that to these statuses only.
    pub(super) fn changeable(&self, statuses: &[JobStatus], verb: &str) -> anyhow::Result<JobFilter> {
        let mut filter = self.filter()?;
        match filter.status {
            Some(status) if !statuses.contains(&status) => {
                let known: Vec<&str> = statuses.iter().map(|status| status.label()).collect();
                Err(usage(format!(
                    "{verb} cannot change jobs that are {}; --status {}",
                    status.label(),
                    known.join(", ")
                )))
            }
            None if statuses.len() == 1 => {
                filter.status = statuses.first().copied();
                Ok(filter)
            }
            _ => Ok(filter),
        }
    }
}
