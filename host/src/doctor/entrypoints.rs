//! Checks whether some worker serves each entrypoint that jobs wait for.

use std::collections::BTreeSet;

use super::finding::{CheckResult, Finding};
use super::fleet;
use super::target::Target;

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let backlog = target.operator().backlog().await?;
    let (_, hosts) = fleet::hosts(target).await?;
    let mut served: BTreeSet<String> = BTreeSet::new();
    for file in hosts.iter().filter_map(|host| host.plugins.as_array()).flatten() {
        served.extend(
            file["entrypoints"].as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)),
        );
    }
    if let Some(files) = target.deployment.plugins.as_ref().and_then(|plugins| plugins.files.as_ref().ok()) {
        served.extend(
            files
                .iter()
                .filter_map(|file| file.serving.as_ref())
                .flat_map(|plugin| plugin.declaration.entrypoints.keys().cloned()),
        );
    }
    // A Python worker that holds a job of an entrypoint serves it.
    served.extend(target.operator().workers().await?.into_iter().flat_map(|worker| worker.entrypoints));
    let unserved: Vec<_> = backlog.iter().filter(|waiting| !served.contains(&waiting.entrypoint)).collect();
    let mut found: Vec<Finding> = unserved
        .iter()
        .map(|waiting| {
            let what = format!(
                "{} job(s) wait for {:?}, the oldest for {}; no host serves it",
                waiting.queued_count,
                waiting.entrypoint,
                humantime::format_duration(std::time::Duration::from_secs(waiting.oldest_age_seconds.max(0.0) as u64))
            );
            let why = "an idle Python worker is not visible in the database; if there is none, these jobs wait forever";
            Finding::note(what, why, "put the plugin into the folder; or `pgq-host cancel` the jobs that nobody needs")
        })
        .collect();
    if found.is_empty() {
        found.push(Finding::ok(match backlog.len() {
            0 => "no job waits".to_owned(),
            count => format!("each of the {count} entrypoints that jobs wait for is served"),
        }));
    }
    Ok(found)
}
