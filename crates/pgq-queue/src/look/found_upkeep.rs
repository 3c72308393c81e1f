//! Workers and hosts that are silent, ticks that are overdue, and what keeps the database from being
//! kept up.

use std::collections::BTreeMap;

use chrono::TimeDelta;

use super::depths::Amount;
use super::facts::Facts;
use super::incident::{Incident, IncidentKind};
use super::open_transaction::OpenTransaction;
use crate::StaleJob;

/// Examples of jobs.
const EXAMPLES: usize = 5;

pub(super) fn all(facts: &Facts) -> Vec<Incident> {
    let mut found = silent(facts);
    found.extend(facts.missing.iter().map(|host| {
        let why = match host.died {
            Some(_) => "its sessions ended without a farewell; what it ran was put back",
            None => "it has missed two announcements",
        };
        let mut incident = Incident::new(IncidentKind::LostHost, why);
        incident.subject = Some(host.label());
        incident.since = Some(host.died.unwrap_or(host.seen));
        incident.hosts = vec![host.label()];
        incident.jobs = (host.jobs > 0).then_some(Amount { jobs: host.jobs, more: false });
        incident.next = vec!["pgq-host workers".into(), "pgq-host doctor".into()];
        incident
    }));
    found.extend(facts.schedules.iter().filter(|schedule| facts.is_old(schedule.next_run)).map(|schedule| {
        let state = schedule.status.as_deref().unwrap_or("queued");
        let why = format!("its tick of {} is overdue, and it is {state}", schedule.next_run);
        let mut incident = Incident::new(IncidentKind::LateSchedule, why);
        incident.entrypoint = Some(schedule.entrypoint.clone());
        incident.subject = Some(schedule.expression.clone());
        incident.since = Some(schedule.next_run);
        incident.next = vec!["pgq-host schedules".into()];
        incident
    }));
    found.extend(facts.transactions.iter().map(|open| open_transaction(facts, open)));
    found.extend(facts.uncounted.filter(|since| facts.is_old(*since)).map(|since| {
        let mut incident = Incident::new(
            IncidentKind::StatisticsLag,
            "what is logged is not counted: no host, and no worker of PgQueuer, counts it",
        );
        incident.since = Some(since);
        incident.next = vec!["pgq-host workers".into(), "pgq-host doctor".into()];
        incident
    }));
    found
}

/// Running jobs whose worker is silent, by worker.
fn silent(facts: &Facts) -> Vec<Incident> {
    let mut by_worker = BTreeMap::<_, Vec<&StaleJob>>::new();
    facts.silent.iter().for_each(|job| by_worker.entry(job.queue_manager_id).or_default().push(job));
    let incident = |(worker, jobs): (Option<uuid::Uuid>, Vec<&StaleJob>)| {
        let host = facts.fleet.hosts.iter().find(|host| Some(host.id) == worker).map(|host| host.label());
        let name = worker.map_or("a worker that is not named".to_owned(), |id| id.to_string());
        let mut incident =
            Incident::new(IncidentKind::SilentWorker, "it has sent no heartbeat for the jobs that it holds");
        incident.subject = Some(host.clone().unwrap_or(name));
        incident.since = jobs.iter().map(|job| job.heartbeat).min();
        incident.jobs = Some(Amount { jobs: i64::try_from(jobs.len()).unwrap_or(i64::MAX), more: false });
        incident.examples = jobs.iter().take(EXAMPLES).map(|job| job.id).collect();
        incident.hosts = host.into_iter().collect();
        incident.next = vec!["pgq-host stale".into(), "pgq-host workers".into()];
        incident
    };
    by_worker.into_iter().map(incident).collect()
}

fn open_transaction(facts: &Facts, open: &OpenTransaction) -> Incident {
    let role = open.role.as_deref().unwrap_or("?");
    let who = match (open.pid, open.application.as_str()) {
        (None, name) => format!("prepared transaction {name} of role {role}"),
        (Some(pid), "") => format!("process {pid} of role {role}"),
        (Some(pid), name) => format!("process {pid} ({name}) of role {role}"),
    };
    let state = open.state.as_deref().unwrap_or("open");
    let harm = match open.holds_back {
        true => "no row that died since can be removed: claims read past them",
        false => "it may hold locks for which others wait",
    };
    let mut incident = Incident::new(IncidentKind::OpenTransaction, format!("its transaction is {state}, and {harm}"));
    incident.subject = Some(who);
    incident.since = Some(facts.now - TimeDelta::seconds(open.open_seconds));
    incident.next = vec!["pgq-host doctor".into(), open.remedy()];
    incident
}
