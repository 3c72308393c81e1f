//! Changing jobs by their ids, or all that match a filter: first they are counted, and with `--yes`
//! it is done.

use anyhow::bail;
use clap::Args;
use serde_json::{Value, json};

use super::database::explain;
use super::filter::FilterArgs;
use super::output;
use super::usage::usage;
use pgq_job::JobId;
use pgq_queue::environment::system_user;
use pgq_queue::{Actor, JobFilter, JobStatus, Operator};

/// Ids that the audit names. Of more, it has the number.
const NAMED: usize = 100;

#[derive(Debug, Args)]
pub(super) struct ChosenArgs {
    /// The jobs; or all that match
    ids: Vec<JobId>,
    #[command(flatten)]
    filter: FilterArgs,
    /// All jobs, where nothing else is asked for
    #[arg(long)]
    all: bool,
    /// Do it to the jobs that match; without it, they are counted
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    pub(super) actor: ActorArgs,
}

#[derive(Debug, Args)]
pub(super) struct ActorArgs {
    /// Why, for the audit
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Who does it, for the audit [default: the system's user]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
}

impl ActorArgs {
    pub(super) fn actor(&self) -> Actor {
        let author = self.author.clone().or_else(system_user).unwrap_or_else(|| "unknown".into());
        Actor { author, reason: self.reason.clone() }
    }
}

/// What to change.
pub(super) struct Chosen {
    pub(super) ids: Vec<JobId>,
    /// Statuses of the jobs that match, which may have changed since; `None`: jobs are named.
    pub(super) statuses: Option<Vec<&'static str>>,
    /// For the audit.
    pub(super) asked: Value,
}

/// These ids, for the audit.
pub(super) fn named(ids: &[JobId]) -> Value {
    json!({ "ids": ids.iter().take(NAMED).collect::<Vec<_>>(), "count": ids.len() })
}

impl ChosenArgs {
    /// The jobs; nothing where they were only counted, which is an error that says how many.
    pub(super) async fn choose(&self, operator: &Operator, can: &[JobStatus], verb: &str) -> anyhow::Result<Chosen> {
        if !self.ids.is_empty() {
            if !self.filter.is_empty() || self.all {
                return Err(usage(format!("{verb} takes ids, or a filter, and not both")));
            }
            return Ok(Chosen { ids: self.ids.clone(), statuses: None, asked: named(&self.ids) });
        }
        let filter = self.filter.changeable(can, verb)?;
        let asked = asked(&filter);
        let ids = matching(operator, std::slice::from_ref(&filter), self.yes, verb).await?;
        let statuses = filter.status.map_or_else(|| can.to_vec(), |status| vec![status]);
        Ok(Chosen { ids, statuses: Some(statuses.into_iter().map(JobStatus::label).collect()), asked })
    }

    /// Whether anything is asked for. Found out before the database is.
    pub(super) fn check(&self, verb: &str) -> anyhow::Result<()> {
        if self.ids.is_empty() && self.filter.is_empty() && !self.all {
            return Err(usage(format!(
                "{verb} what? Name jobs by their ids, or by --entrypoint, --status and so on, or pass --all"
            )));
        }
        Ok(())
    }
}

/// The filter, for the audit.
pub(super) fn asked(filter: &JobFilter) -> Value {
    let seconds = |time: Option<std::time::Duration>| time.map(|time| time.as_secs_f64());
    let mut asked = json!({
        "status": filter.status.map(JobStatus::label),
        "entrypoint": filter.entrypoint,
        "older_s": seconds(filter.older),
        "younger_s": seconds(filter.younger),
        "error": filter.error,
        "header": filter.header,
        "plugin": filter.plugin,
    });
    if let Some(pairs) = asked.as_object_mut() {
        pairs.retain(|_, value| !value.is_null());
    }
    asked
}

/// The jobs that match these filters; an error with their number unless it is to be done.
pub(super) async fn matching(
    operator: &Operator,
    filters: &[JobFilter],
    yes: bool,
    verb: &str,
) -> anyhow::Result<Vec<JobId>> {
    let mut ids = Vec::new();
    for filter in filters {
        ids.extend(operator.matching(filter).await.map_err(explain)?);
    }
    if !yes && !ids.is_empty() {
        bail!("{} job(s) match, and nothing was done: `{verb} --yes` does it", ids.len());
    }
    Ok(ids)
}

/// Report on jobs that matched.
pub(super) fn report(done: &str, changed: usize, matched: usize, json: bool) -> anyhow::Result<()> {
    if json {
        output::object(&json!({ "matched": matched, "changed": changed }))?;
    }
    match matched {
        0 => output::status("No such jobs."),
        _ => output::status(&format!("{done} {changed} of {matched} job(s).")),
    }
    Ok(())
}
