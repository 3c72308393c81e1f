//! Jobs that are due and do not run, and why.

use chrono::TimeDelta;

use super::facts::Facts;
use super::fleet::FleetHost;
use super::incident::{Incident, IncidentKind, IncidentVersion};
use super::overview::EntrypointLook;
use super::shell_word::shell_word;
use crate::PauseRow;

pub(super) fn all(facts: &Facts) -> Vec<Incident> {
    let waiting = facts.overview.entrypoints.iter().filter_map(|look| waiting(facts, look));
    waiting.chain(breakers(facts)).collect()
}

/// The jobs of one entrypoint, if they have been due for long. An open breaker is told by itself.
fn waiting(facts: &Facts, look: &EntrypointLook) -> Option<Incident> {
    let name = look.entrypoint.as_str();
    let seconds = look.depth.oldest_seconds.filter(|_| look.depth.due.jobs > 0)?;
    let due_since = facts.now - TimeDelta::milliseconds((seconds * 1000.0) as i64);
    if !facts.is_old(due_since) {
        return None;
    }
    let serving = facts.serving(name);
    let worked_on = facts.fleet.others.iter().any(|other| other.entrypoints.iter().any(|known| known == name));
    let word = shell_word(name);
    let mut incident = if let Some(pause) = pause(facts, name) {
        let until = pause.until.map_or("until somebody resumes it".to_owned(), |until| format!("until {until}"));
        let mut incident = Incident::new(
            IncidentKind::Paused,
            format!("{name} is paused"),
            format!("{} paused it {until}: {}", pause.author, or(&pause.reason, "no reason was given")),
        );
        incident.since = Some(pause.paused);
        incident.next = vec!["pgq-host pauses".into(), format!("pgq-host resume {}", paused_as(pause))];
        incident
    } else if serving.iter().any(|host| has_open_breaker(host, name)) {
        return None;
    } else if serving.is_empty() && !worked_on {
        not_served(facts, name)
    } else {
        let lately = look.lately.five_minutes;
        let mut incident = Incident::new(
            IncidentKind::Backlog,
            format!("jobs of {name} pile up"),
            format!(
                "{} of its jobs run now; in the last five minutes {} were enqueued or put back, and {} ended",
                look.depth.running.jobs,
                lately.queued,
                lately.ended()
            ),
        );
        incident.next = vec![format!("pgq-host jobs --status picked --entrypoint {word}"), "pgq-host workers".into()];
        // Something may have begun with a version that came shortly before.
        incident.began_with = facts.plugin_of(name).and_then(|plugin| {
            let served = |version: &&super::plugins::VersionLook| !version.stable_on.is_empty();
            let version = plugin.versions.iter().find(served)?;
            let came = due_since - version.first_served?;
            (TimeDelta::minutes(-1)..TimeDelta::hours(1))
                .contains(&came)
                .then(|| IncidentVersion::of_look(&plugin.name, version))
        });
        incident
    };
    incident.entrypoint = Some(name.to_owned());
    incident.since = incident.since.or(Some(due_since));
    incident.jobs = Some(look.depth.due);
    if incident.hosts.is_empty() {
        incident.hosts = serving.iter().map(|host| host.label()).collect();
    }
    incident.next.push(format!("pgq-host jobs --status queued --entrypoint {word}"));
    Some(incident)
}

/// Nobody is there for it: perhaps a host that was has gone, or its file cannot be loaded.
fn not_served(facts: &Facts, name: &str) -> Incident {
    let gone: Vec<&FleetHost> = facts.hosts_with(name).filter(|host| host.lost).collect();
    let refused: Vec<String> =
        facts.plugins.refused.iter().take(3).map(|file| format!("{}: {}", file.file, file.error)).collect();
    let mut why = match gone.iter().max_by_key(|host| host.seen) {
        Some(last) => format!(
            "no host that is there serves it; {} did, and has not announced itself since {}",
            last.label(),
            last.seen
        ),
        None => "no host and no worker serves it".to_owned(),
    };
    if !refused.is_empty() {
        why += &format!("; files that are not served: {}", refused.join("; "));
    }
    let mut incident = Incident::new(IncidentKind::NotServed, format!("jobs of {name} are not served"), why);
    incident.hosts = gone.iter().map(|host| host.label()).collect();
    incident.next = vec!["pgq-host plugin list --hosts".into()];
    incident
}

/// Open circuit breakers, whether jobs wait or not.
fn breakers(facts: &Facts) -> impl Iterator<Item = Incident> {
    let mut names: Vec<&str> = facts.fleet.hosts.iter().filter(|host| !host.lost).flat_map(open_breakers).collect();
    names.sort_unstable();
    names.dedup();
    names.into_iter().map(|name| {
        let hosts = facts.serving(name).into_iter().filter(|host| has_open_breaker(host, name));
        let verdict = facts
            .judgements()
            .find(|(.., judgement)| judgement.verdict == "paused" && judgement.entrypoint.as_deref() == Some(name));
        let why = verdict.map_or("its runs crashed".to_owned(), |(.., judgement)| judgement.reason.clone());
        let look = facts.overview.entrypoints.iter().find(|look| look.entrypoint == name);
        let mut incident =
            Incident::new(IncidentKind::BreakerOpen, format!("the circuit breaker of {name} is open"), why);
        incident.entrypoint = Some(name.to_owned());
        incident.since = verdict.map(|(.., judgement)| judgement.judged);
        incident.began_with = verdict.map(|(plugin, version, _)| IncidentVersion::of_look(&plugin.name, version));
        incident.jobs = look.map(|look| look.depth.due);
        incident.hosts = hosts.map(FleetHost::label).collect();
        incident.next =
            vec!["pgq-host plugin list --hosts".into(), format!("pgq-host plugin reset {}", shell_word(name))];
        incident
    })
}

fn open_breakers(host: &FleetHost) -> impl Iterator<Item = &str> {
    host.plugins.iter().flat_map(|file| file.paused.iter().map(String::as_str))
}

fn has_open_breaker(host: &FleetHost, entrypoint: &str) -> bool {
    open_breakers(host).any(|name| name == entrypoint)
}

/// The pause that keeps this entrypoint from being claimed.
fn pause<'f>(facts: &'f Facts, entrypoint: &str) -> Option<&'f PauseRow> {
    let plugin = facts.plugin_of(entrypoint);
    let is_about_it = |pause: &&PauseRow| match pause.kind.as_str() {
        "all" => true,
        "entrypoint" => pause.name == entrypoint,
        "plugin" => plugin.is_some_and(|plugin| plugin.name == pause.name),
        "sha256" => plugin.is_some_and(|plugin| {
            let served = |version: &&super::plugins::VersionLook| !version.stable_on.is_empty();
            plugin.versions.iter().filter(served).any(|version| version.sha256.starts_with(&pause.name))
        }),
        _ => false,
    };
    facts.pauses.iter().find(is_about_it)
}

/// As `pgq-host resume` takes it.
fn paused_as(pause: &PauseRow) -> String {
    match pause.kind.as_str() {
        "all" => "--all".into(),
        kind => format!("--{kind} {}", shell_word(&pause.name)),
    }
}

fn or<'a>(text: &'a str, otherwise: &'a str) -> &'a str {
    if text.is_empty() { otherwise } else { text }
}
