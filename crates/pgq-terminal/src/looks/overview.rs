//! The overview: numbers of all entrypoints, and a row for each.

use chrono::TimeDelta;
use pgq_job::units::{ago, count, many, micros, percent, rough, span};
use pgq_queue::{Amount, EntrypointLook, FailureGroup, FleetHost, SaidByHosts};

use crate::ask::Snapshot;
use crate::table::{Cell, Column, Key, Kind, Row, Table};
use crate::text::safe;
use crate::tone::Tone;

/// Waiting for longer is worth a look.
const LATE_SECONDS: f64 = 60.0;
/// Entrypoints that are named of a list.
const NAMED: usize = 3;

pub(crate) const COLUMNS: [Column; 10] = [
    Column { name: "Entrypoint", kind: Kind::Rest, gives_way: 0 },
    Column { name: "Due", kind: Kind::Number, gives_way: 0 },
    Column { name: "Oldest", kind: Kind::Number, gives_way: 0 },
    Column { name: "Run", kind: Kind::Number, gives_way: 0 },
    Column { name: "Held", kind: Kind::Number, gives_way: 0 },
    Column { name: "Later", kind: Kind::Number, gives_way: 4 },
    Column { name: "5 min", kind: Kind::Number, gives_way: 2 },
    Column { name: "Failed", kind: Kind::Number, gives_way: 3 },
    Column { name: "p50/p95", kind: Kind::Number, gives_way: 5 },
    Column { name: "State", kind: Kind::Text, gives_way: 1 },
];

pub(crate) fn amount(amount: Amount) -> String {
    format!("{}{}", count(amount.jobs), if amount.more { "+" } else { "" })
}

#[expect(clippy::cast_precision_loss, reason = "a share for people")]
pub(crate) fn share(part: i64, whole: i64) -> String {
    percent(part as f64, whole as f64)
}

/// Jobs a second, of five minutes.
#[expect(clippy::cast_precision_loss, reason = "a rate for people")]
fn rate(jobs: i64) -> String {
    let rate = jobs as f64 / 300.0;
    if rate < 99.5 { format!("{rate:.1}/s") } else { format!("{rate:.0}/s") }
}

/// The most important numbers: each with its name, and whether it is well.
pub(crate) fn numbers(look: &Snapshot) -> Vec<(&'static str, String, Tone)> {
    let totals = look.overview.totals();
    let if_any = |number: i64, tone: Tone| if number > 0 { tone } else { Tone::Strong };
    let late = totals.oldest_seconds.is_some_and(|oldest| oldest > LATE_SECONDS);
    let due = match totals.oldest_seconds {
        Some(oldest) => format!("{} (oldest {})", amount(totals.due), span(oldest)),
        None => amount(totals.due),
    };
    let runs = match &look.overview.runs {
        Some(runs) => format!("p50 {}, p95 {}", micros(runs.p50_us), micros(runs.p95_us)),
        None => "no run lately".into(),
    };
    let failed = format!("{} ({})", count(totals.failed), share(totals.failed, totals.ended));
    vec![
        ("Due", due, if late { Tone::Warn } else { Tone::Strong }),
        ("Later", amount(totals.deferred), Tone::Strong),
        ("Running", amount(totals.running), Tone::Strong),
        ("Held", amount(totals.held), if_any(totals.held.jobs, Tone::Bad)),
        ("Ended, 5 min", format!("{} ({})", count(totals.ended), rate(totals.ended)), Tone::Strong),
        ("Failed, 5 min", failed, if_any(totals.failed, Tone::Bad)),
        ("Run time", runs, Tone::Strong),
        (
            "Hosts",
            look.fleet.hosts.len().to_string(),
            if look.fleet.hosts.is_empty() { Tone::Warn } else { Tone::Strong },
        ),
    ]
}

/// What is paused, if anything is.
pub(crate) fn paused(look: &Snapshot) -> Option<String> {
    let one = |pause: &pgq_queue::PauseRow| match pause.kind.as_str() {
        "all" => "everything".to_owned(),
        kind => format!("{kind} {}", safe(&pause.name)),
    };
    let all: Vec<String> = look.pauses.iter().map(one).collect();
    (!all.is_empty()).then(|| format!("PAUSED: {}", all.join(", ")))
}

/// What is wrong around the queue, in the words of `pgq-host overview`.
pub(crate) fn wrong(look: &Snapshot) -> Vec<(Tone, String)> {
    let long = |seconds: i64| rough(TimeDelta::seconds(seconds.max(0)));
    let hosts = look.troubles.hosts.iter().map(|host| {
        let since = (look.at - host.died.unwrap_or(host.seen)).num_seconds();
        format!("! {} for {}: {}", safe(&host.what()), long(since), host.why())
    });
    let open = look.troubles.transactions.iter();
    let open = open.map(|open| {
        format!("! {} for {}: {}: {}", safe(&open.what()), long(open.open_seconds), open.harm(), safe(&open.remedy()))
    });
    hosts.chain(open).map(|line| (Tone::Warn, line)).collect()
}

/// The entrypoints, those in trouble first.
pub(crate) fn table(look: &Snapshot) -> Table {
    let mut all: Vec<&EntrypointLook> = look.overview.entrypoints.iter().collect();
    all.sort_by(|one, other| other.trouble().cmp(&one.trouble()).then(one.entrypoint.cmp(&other.entrypoint)));
    let rows = all.into_iter().map(|one| row(one, SaidByHosts::of(&look.fleet.hosts, &one.entrypoint))).collect();
    let none = if look.fleet.hosts.is_empty() {
        "Nothing has run here yet, and no host is on this queue: pgq-host run --plugins plugins"
    } else {
        "Nothing has run here yet. Put a job into the queue: pgq-host queue ENTRYPOINT PAYLOAD"
    };
    Table { columns: &COLUMNS, rows, none: none.into() }
}

fn row(one: &EntrypointLook, said: SaidByHosts) -> Row {
    let amount = |of: Amount, tone: Tone| {
        Cell::number(of.jobs, self::amount(of)).toned(if of.jobs > 0 { tone } else { Tone::Dim })
    };
    let (ended, failed) = (one.lately.five_minutes.ended(), one.failed_lately());
    let oldest = match one.depth.oldest_seconds {
        Some(oldest) => {
            Cell::real(oldest, span(oldest)).toned(if oldest > LATE_SECONDS { Tone::Warn } else { Tone::Plain })
        }
        None => Cell::none(),
    };
    let runs = match &one.runs {
        Some(runs) => Cell::number(runs.p95_us, format!("{} / {}", micros(runs.p50_us), micros(runs.p95_us))),
        None => Cell::none(),
    };
    let failed_tone = if failed > 0 { Tone::Bad } else { Tone::Dim };
    let (tone, state) = state(said);
    let cells = vec![
        Cell::text(&one.entrypoint),
        amount(one.depth.due, Tone::Plain),
        oldest,
        amount(one.depth.running, Tone::Busy),
        amount(one.depth.held, Tone::Bad),
        amount(one.depth.deferred, Tone::Plain),
        Cell::number(ended, count(ended)),
        Cell::number(failed, count(failed)).toned(failed_tone),
        runs,
        Cell::text(&state).toned(tone),
    ];
    Row { key: Key::Name(one.entrypoint.clone()), cells, detail: Vec::new() }
}

fn state(said: SaidByHosts) -> (Tone, String) {
    match said {
        SaidByHosts { served: 0, .. } => (Tone::Warn, "no host serves it".into()),
        SaidByHosts { breaker, .. } if breaker > 0 => (Tone::Bad, "breaker open".into()),
        SaidByHosts { held, .. } if held > 0 => (Tone::Warn, "paused".into()),
        SaidByHosts { canary, .. } if canary > 0 => (Tone::Busy, "canary".into()),
        _ => (Tone::Good, "served".into()),
    }
}

/// The causes, the newest first, each in a line.
pub(crate) fn causes(look: &Snapshot) -> Vec<(Tone, String)> {
    let mut groups: Vec<&FailureGroup> = look.failures.groups.iter().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.first_seen));
    let line = |group: &&FailureGroup| {
        let cause = &group.cause;
        let text = format!(
            "{} {}, {}: {}: {}",
            count(group.failures),
            ago(group.last_seen, look.at),
            safe(&cause.entrypoint),
            safe(&cause.exception_type),
            safe(&cause.message)
        );
        (Tone::Plain, text)
    };
    match groups.is_empty() {
        true => vec![(Tone::Dim, "Nothing failed lately.".into())],
        false => groups.iter().map(line).collect(),
    }
}

/// The hosts, each in a line.
pub(crate) fn hosts(look: &Snapshot) -> Vec<(Tone, String)> {
    let line = |host: &FleetHost| {
        let (tone, state) = super::hosts::state(host);
        let jobs = many(usize::try_from(host.jobs).unwrap_or_default(), "job");
        (tone, format!("{}: {state}, {jobs}, since {}", safe(&host.label()), ago(host.started, look.at)))
    };
    let other = |worker: &pgq_queue::OtherWorker| {
        let names = worker.entrypoints.iter().take(NAMED).map(|name| safe(name)).collect::<Vec<_>>().join(", ");
        let jobs = many(usize::try_from(worker.jobs).unwrap_or_default(), "job");
        (Tone::Plain, format!("{}: a Python worker, {jobs} of {names}", worker.queue_manager_id))
    };
    let lines: Vec<_> = look.fleet.hosts.iter().map(line).chain(look.fleet.others.iter().map(other)).collect();
    match lines.is_empty() {
        true => vec![(Tone::Warn, "No host is on this queue.".into())],
        false => lines,
    }
}
