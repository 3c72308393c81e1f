//! Runs that fail, versions that were taken out of service, files that cannot be loaded.

use chrono::TimeDelta;

use super::depths::Amount;
use super::facts::Facts;
use super::failure_group::FailureGroup;
use super::incident::{Incident, IncidentKind, IncidentVersion};
use super::shell_word::shell_word;

/// Failed runs of one cause that are more than an accident.
const SEVERAL: i64 = 3;
/// What failed last before that is over, unless jobs are held for it.
const RECENT: TimeDelta = TimeDelta::hours(1);
/// Verdicts older than that are no news.
const NEWS: TimeDelta = TimeDelta::hours(24);

pub(super) fn all(facts: &Facts) -> Vec<Incident> {
    let causes = facts.failures.groups.iter().filter(|group| matters(facts, group)).map(failing);
    let refused = facts.plugins.refused.iter().map(|file| {
        let mut incident = Incident::new(
            IncidentKind::RefusedFile,
            format!("the file {} is not served", file.file),
            file.error.clone(),
        );
        incident.subject = Some(file.file.clone());
        incident.hosts.clone_from(&file.hosts);
        incident.next = vec!["pgq-host plugin list --hosts".into()];
        incident
    });
    causes.chain(refused).chain(rolled_back(facts)).collect()
}

fn matters(facts: &Facts, group: &FailureGroup) -> bool {
    group.held > 0 || (group.failures >= SEVERAL && facts.now - group.last_seen <= RECENT)
}

fn failing(group: &FailureGroup) -> Incident {
    let cause = &group.cause;
    let mut incident = Incident::new(
        IncidentKind::Failing,
        format!("runs of {} fail", cause.entrypoint),
        format!("{} runs failed: {}: {}", group.failures, cause.exception_type, cause.message),
    );
    incident.entrypoint = Some(cause.entrypoint.clone());
    incident.since = Some(group.first_seen);
    incident.jobs = (group.held > 0).then_some(Amount { jobs: group.held, more: false });
    incident.began_with = group.versions.first().map(IncidentVersion::of_failures);
    incident.examples = if group.held > 0 { group.held_examples.clone() } else { group.examples.clone() };
    incident.next = incident.examples.first().map(|id| format!("pgq-host job {id}")).into_iter().collect();
    if group.held > 0 {
        let word = shell_word(&cause.entrypoint);
        incident.next.push(format!("pgq-host requeue --entrypoint {word}"));
    }
    incident
}

fn rolled_back(facts: &Facts) -> impl Iterator<Item = Incident> {
    let is_news = |facts: &Facts, verdict: &str, judged| {
        ["rolled_back", "refused"].contains(&verdict) && facts.now - judged <= NEWS
    };
    facts.judgements().filter(move |(.., judgement)| is_news(facts, &judgement.verdict, judgement.judged)).map(
        |(plugin, version, judgement)| {
            let mut incident = Incident::new(
                IncidentKind::RolledBack,
                format!("{} {} is out of service", plugin.name, version.version),
                judgement.reason.clone(),
            );
            incident.subject = Some(plugin.name.clone());
            incident.since = Some(judgement.judged);
            incident.began_with = Some(IncidentVersion::of_look(&plugin.name, version));
            incident.hosts = vec![judgement.host.clone()];
            incident.next = vec!["pgq-host plugin list --hosts".into()];
            incident
        },
    )
}
