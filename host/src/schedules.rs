//! Turns the ticks of the plugins' schedules into jobs.
//!
//! Only the database's clock decides what is due, and when it is due next. A host merely measures
//! how long to sleep. A host that declares no schedule sends no statements. One that does sends one
//! per wake-up, and a second one when a tick is due.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::meter;
use crate::plugins::PluginSet;
use pgq_cron::Schedule;
use pgq_queue::told::Told as _;
use pgq_queue::{Queue, ScheduleKey, ScheduleRow, Tick};

/// Jitter, so that hosts that wait for the same tick do not all ask at once.
const JITTER_MS: f64 = 20.0;
/// How often to check a schedule whose job a Python worker is still running at the next tick.
const BUSY: TimeDelta = TimeDelta::seconds(2);
const FIRST_RETRY: Duration = Duration::from_millis(500);
const LAST_RETRY: Duration = Duration::from_secs(15);

/// Run the schedules of the plugins until `stop`. `rescheduled` tells that an operator changed one;
/// `longest_wait` is how long another writer's change to a row may go unnoticed.
pub async fn keep(
    queue: Queue,
    mut plugins: watch::Receiver<Arc<PluginSet>>,
    rescheduled: Arc<Notify>,
    longest_wait: Duration,
    stop: CancellationToken,
) {
    let mut timetable = Timetable::default();
    let mut retry = FIRST_RETRY;
    let mut changed = true;
    loop {
        if changed {
            timetable.adopt(&plugins.borrow_and_update());
        }
        let wake = if timetable.declared.is_empty() {
            None
        } else {
            Some(match timetable.check(&queue).await {
                Ok(wait) => {
                    retry = FIRST_RETRY;
                    wait.at.min(wait.from + longest_wait)
                        + Duration::from_secs_f64(fastrand::f64() * JITTER_MS / 1000.0)
                }
                Err(error) => {
                    tracing::warn!(error = %error.told(), "cannot read the schedules; trying again");
                    retry = (retry * 2).min(LAST_RETRY);
                    Instant::now() + retry.mul_f64(0.5 + fastrand::f64() / 2.0)
                }
            })
        };
        let rest = async {
            match wake {
                Some(wake) => tokio::time::sleep_until(wake).await,
                None => std::future::pending().await,
            }
        };
        changed = tokio::select! {
            () = stop.cancelled() => return,
            () = rest => false,
            () = rescheduled.notified() => false,
            // The sender lives as long as the host.
            change = plugins.changed() => if change.is_ok() { true } else { return },
        };
    }
}

struct Wait {
    from: Instant,
    at: Instant,
}

/// The declared schedules, and what has been logged about the others.
#[derive(Default)]
struct Timetable {
    declared: BTreeMap<ScheduleKey, Schedule>,
    /// Rows are added when plugins are loaded, not whenever they are missing, because an operator
    /// who removes a row wants it removed.
    to_add: BTreeSet<ScheduleKey>,
    warned: HashSet<ScheduleKey>,
    /// Entrypoints that an operator paused so that their ticks are skipped.
    skipped: HashSet<String>,
}

impl Timetable {
    fn adopt(&mut self, plugins: &PluginSet) {
        let mut declared = BTreeMap::new();
        self.skipped.clear();
        for served in plugins.served() {
            if plugins.hold(&served.entrypoint).is_some_and(|hold| hold.skips_ticks) {
                self.skipped.insert(served.entrypoint.to_string());
            }
            for expression in &served.options.schedules {
                // The expression was parsed when the plugin was loaded, so this cannot fail.
                let Ok(schedule) = Schedule::from_key(expression) else { continue };
                declared.insert(
                    ScheduleKey { expression: expression.clone(), entrypoint: served.entrypoint.to_string() },
                    schedule,
                );
            }
        }
        for key in self.declared.keys().filter(|key| !declared.contains_key(key)) {
            tracing::warn!(
                schedule.expression = key.expression,
                job.entrypoint = key.entrypoint,
                "no plugin declares this schedule any more; its row stays, but this host does not run it"
            );
            self.warned.insert(key.clone());
        }
        for key in declared.keys().filter(|key| !self.declared.contains_key(key)) {
            self.to_add.insert(key.clone());
            self.warned.remove(key);
        }
        self.to_add.retain(|key| declared.contains_key(key));
        self.declared = declared;
    }

    /// Enqueue the jobs of due ticks and add missing rows. Returns when to check again.
    async fn check(&mut self, queue: &Queue) -> sqlx::Result<Wait> {
        let keys: Vec<ScheduleKey> = self.declared.keys().cloned().collect();
        let (now, rows) = queue.schedules(&keys).await?;
        let from = Instant::now();
        let mut ahead = Vec::new();
        let (mut ticks, mut back) = (Vec::new(), Vec::new());
        for row in &rows {
            match self.effective(row).as_deref() {
                None => self.report_orphan(&row.key, row.next_run),
                Some(schedule) if row.due.is_some_and(|due| due <= now) => {
                    let next = schedule.next_after(now).unwrap_or_else(never);
                    ahead.push(next);
                    ticks.push(Tick { row, next, skipped: row.paused || self.skipped.contains(&row.key.entrypoint) });
                }
                // The Python worker may finish at any time, even after the next tick.
                Some(_) if row.picked => ahead.extend(row.due.map(|due| due.min(row.next_run.max(now + BUSY)))),
                Some(schedule)
                    if row.from_ahead && schedule.next_after(now).is_some_and(|next| next < row.next_run) =>
                {
                    let next = schedule.next_after(now).unwrap_or_else(never);
                    ahead.push(next);
                    back.push(Tick { row, next, skipped: false });
                }
                Some(_) => ahead.extend(row.due),
            }
        }
        if !ticks.is_empty() {
            for fired in queue.fire(&ticks).await? {
                tracing::debug!(job.id = fired.id, job.entrypoint = fired.entrypoint, "a schedule was due");
            }
        }
        if !back.is_empty() {
            move_back(queue, &back).await?;
        }
        let found: HashSet<&ScheduleKey> = rows.iter().map(|row| &row.key).collect();
        ahead.extend(self.add_missing(queue, &found, now).await?);
        let wait = ahead.iter().min().map_or(TimeDelta::MAX, |next| *next - now).to_std().unwrap_or_default();
        Ok(Wait { from, at: from + wait.min(Duration::from_secs(24 * 3600)) })
    }

    /// The schedule by which this row runs: what its plugin declares, or what an operator put in its place.
    fn effective(&mut self, row: &ScheduleRow) -> Option<Cow<'_, Schedule>> {
        let replaced = row.replaced.as_deref().filter(|_| self.declared.contains_key(&row.key));
        if let Some(expression) = replaced {
            match Schedule::from_key(expression) {
                Ok(schedule) => return Some(Cow::Owned(schedule)),
                // An operator with a later release, perhaps.
                Err(error) if self.warned.insert(row.key.clone()) => {
                    tracing::warn!(
                        schedule.expression = row.key.expression,
                        job.entrypoint = row.key.entrypoint,
                        reason = %error,
                        "an operator's expression for this schedule cannot be read; it runs as its plugin declares it"
                    );
                }
                Err(_) => {}
            }
        }
        self.declared.get(&row.key).map(Cow::Borrowed)
    }

    async fn add_missing(
        &mut self,
        queue: &Queue,
        found: &HashSet<&ScheduleKey>,
        now: DateTime<Utc>,
    ) -> sqlx::Result<Vec<DateTime<Utc>>> {
        let mut new = Vec::new();
        for (key, schedule) in self.declared.iter().filter(|(key, _)| !found.contains(key)) {
            if self.to_add.contains(key) {
                match schedule.next_after(now) {
                    Some(next) => new.push((key.clone(), next)),
                    None => tracing::warn!(
                        schedule.expression = key.expression,
                        job.entrypoint = key.entrypoint,
                        "this schedule will not be due within the next 50 years"
                    ),
                }
            } else if self.warned.insert(key.clone()) {
                tracing::warn!(
                    schedule.expression = key.expression,
                    job.entrypoint = key.entrypoint,
                    "the row of this schedule was removed; a restart of the host adds it again"
                );
            }
        }
        if !new.is_empty() {
            queue.add_schedules(&new).await?;
        }
        self.to_add.clear();
        Ok(new.into_iter().map(|(_, next)| next).collect())
    }

    /// Warn about overdue schedules in the table that no worker runs.
    fn report_orphan(&mut self, key: &ScheduleKey, next_run: DateTime<Utc>) {
        if self.warned.insert(key.clone()) {
            tracing::warn!(
                schedule.expression = key.expression,
                job.entrypoint = key.entrypoint,
                due = %next_run,
                "no worker runs this schedule: it is overdue, and no plugin of this host declares it; deploy its plugin or worker, or remove the row"
            );
        }
    }
}

/// Move back schedules whose next tick was computed while the server's clock was ahead. Otherwise
/// they would not fire until that time.
async fn move_back(queue: &Queue, ticks: &[Tick<'_>]) -> sqlx::Result<()> {
    for Tick { row, next, .. } in ticks {
        tracing::warn!(
            schedule.expression = row.key.expression,
            job.entrypoint = row.key.entrypoint,
            due = %row.next_run,
            next = %next,
            "this schedule was last written at a time in the future, because the server's clock was ahead; its next tick is moved back"
        );
    }
    meter::schedules_moved_back(queue.move_back(ticks).await?);
    Ok(())
}

/// The next tick of a schedule that will never be due. A date in the far future, because Python
/// cannot read PostgreSQL's `infinity`.
fn never() -> DateTime<Utc> {
    DateTime::from_timestamp(253_402_214_400, 0).unwrap_or(DateTime::<Utc>::MAX_UTC)
}
