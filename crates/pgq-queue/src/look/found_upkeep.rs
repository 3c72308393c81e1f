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
        let mut incident = Incident::new(IncidentKind::LostHost, host.what(), host.why());
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
        let mut incident =
            Incident::new(IncidentKind::LateSchedule, format!("a schedule of {} is late", schedule.entrypoint), why);
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
            "the statistics lag",
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
        let subject = host.clone().unwrap_or(name);
        let mut incident = Incident::new(
            IncidentKind::SilentWorker,
            format!("worker {subject} is silent"),
            "it has sent no heartbeat for the jobs that it holds",
        );
        incident.subject = Some(subject);
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
    let mut incident = Incident::new(IncidentKind::OpenTransaction, open.what(), open.why());
    incident.subject = Some(open.who());
    incident.since = Some(facts.now - TimeDelta::seconds(open.open_seconds));
    incident.next = vec![open.remedy(), "pgq-host doctor".into()];
    incident
}
