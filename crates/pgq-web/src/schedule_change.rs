//! Changes how hosts run a schedule, and notes who did it: for the API, the pages and the verb.

use chrono::{DateTime, Utc};
use pgq_cron::{CronError, Schedule};
use pgq_queue::{Actor, Adjusted, Adjustment, ListedSchedule, NextRun, Operator};
use serde_json::json;

/// Bytes of an expression. The longest that anybody writes have a tenth of that.
const MOST: usize = 1_000;

/// What to do with a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScheduleChange {
    /// Skip its ticks from now on.
    Pause,
    Resume,
    /// Run it by this expression, in this time zone (UTC), instead of the declared one.
    Edit {
        expression: String,
        zone: Option<String>,
    },
    /// Run it as declared again.
    Restore,
}

/// Why it was not done.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    #[error("there is no schedule {0}; `pgq-host schedules` and GET schedules list them")]
    Unknown(i64),
    #[error("{0}")]
    Expression(#[from] CronError),
    #[error("the expression has {0} bytes; {MOST} are the most")]
    TooLong(usize),
    #[error(
        "the database has no table for changed schedules, or this role may not use it: run `pgq-host upgrade` and \
         `pgq-host grant ROLE --apply`"
    )]
    NoTable,
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl ScheduleChange {
    /// In the audit.
    fn action(&self) -> &'static str {
        match self {
            ScheduleChange::Pause => "pause_schedule",
            ScheduleChange::Resume => "resume_schedule",
            ScheduleChange::Edit { .. } => "edit_schedule",
            ScheduleChange::Restore => "restore_schedule",
        }
    }
}

/// An expression as operators write it. `CRON_TZ=Zone/Name` may stand in front, as in the table.
fn parse(expression: &str, zone: Option<&str>) -> Result<Schedule, ScheduleError> {
    let expression = expression.trim();
    if expression.len() > MOST {
        return Err(ScheduleError::TooLong(expression.len()));
    }
    Ok(match zone.map(str::trim).filter(|zone| !zone.is_empty()) {
        Some(zone) => Schedule::new(expression, zone)?,
        None => Schedule::from_key(expression)?,
    })
}

/// What to write, and when it runs next.
fn plan(
    schedule: &ListedSchedule,
    change: &ScheduleChange,
    now: DateTime<Utc>,
) -> Result<(Adjustment, NextRun), ScheduleError> {
    let next = |schedule: Result<Schedule, CronError>| schedule.ok().and_then(|schedule| schedule.next_after(now));
    Ok(match change {
        ScheduleChange::Pause => (Adjustment { paused: Some(true), replaced: None }, NextRun::Stays),
        ScheduleChange::Resume => {
            // Ticks are skipped by hosts. Where none ran meanwhile, the last one must not run late.
            let next = next(Schedule::from_key(schedule.effective()));
            (Adjustment { paused: Some(false), replaced: None }, next.map_or(NextRun::Stays, NextRun::IfOverdue))
        }
        ScheduleChange::Edit { expression, zone } => {
            let parsed = parse(expression, zone.as_deref())?;
            let key = parsed.key();
            // The declared one is no change.
            let replaced = Some(Some(key).filter(|key| *key != schedule.expression));
            (Adjustment { paused: None, replaced }, next(Ok(parsed)).map_or(NextRun::Stays, NextRun::At))
        }
        ScheduleChange::Restore => {
            let next = next(Schedule::from_key(&schedule.expression));
            (Adjustment { paused: None, replaced: Some(None) }, next.map_or(NextRun::Stays, NextRun::At))
        }
    })
}

/// Do it in the whole fleet. Hosts are told; Python workers and hosts of earlier releases know
/// nothing of it.
///
/// # Errors
///
/// Fails if there is no such schedule or no table, if the expression is none, or if the database does
/// not answer.
pub async fn change(
    operator: &Operator,
    actor: &Actor,
    id: i64,
    change: &ScheduleChange,
) -> Result<Adjusted, ScheduleError> {
    if !operator.adjusts_schedules().await? {
        return Err(ScheduleError::NoTable);
    }
    let schedule = operator.schedule(id).await?.ok_or(ScheduleError::Unknown(id))?;
    let (adjustment, next) = plan(&schedule, change, operator.now().await?)?;
    let adjusted = operator.adjust_schedule(id, &adjustment, next, actor).await?.ok_or(ScheduleError::Unknown(id))?;
    let asked = json!({
        "schedule": id, "entrypoint": adjusted.entrypoint, "expression": adjusted.expression,
        "paused": adjusted.paused, "replaced": adjusted.replaced, "before": schedule.replaced,
    });
    operator.begin_audit(change.action(), actor, &asked).await?;
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schedule(replaced: Option<&str>) -> ListedSchedule {
        let at = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        ListedSchedule {
            id: 1,
            expression: "0 * * * *".into(),
            entrypoint: "report".into(),
            heartbeat: at,
            created: at,
            updated: at,
            next_run: at,
            last_run: None,
            status: Some("queued".into()),
            paused: false,
            replaced: replaced.map(str::to_owned),
            author: None,
            reason: None,
            changed: None,
        }
    }

    #[test]
    fn an_edit_is_kept_as_the_table_has_it_and_the_next_tick_follows_from_it() {
        // 2023-11-14 22:13:20 UTC.
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let edit = |expression: &str, zone: Option<&str>| ScheduleChange::Edit {
            expression: expression.into(),
            zone: zone.map(str::to_owned),
        };
        let (to, next) = plan(&schedule(None), &edit(" 30  9 * * MON ", Some("Europe/Berlin")), now).expect("a plan");
        assert_eq!(to.replaced, Some(Some("CRON_TZ=Europe/Berlin 30 9 * * mon".into())));
        let NextRun::At(next) = next else { panic!("{next:?}") };
        assert_eq!(next.to_rfc3339(), "2023-11-20T08:30:00+00:00");
        let (to, _) = plan(&schedule(None), &edit("CRON_TZ=Europe/Berlin 0 9 * * *", None), now).expect("a plan");
        assert_eq!(to.replaced, Some(Some("CRON_TZ=Europe/Berlin 0 9 * * *".into())));
        let (to, _) = plan(&schedule(Some("5 * * * *")), &edit("@hourly", None), now).expect("a plan");
        assert_eq!(to.replaced, Some(None), "as declared");
        for (expression, zone) in [("61 * * * *", None), ("0 0 31 2 *", None), ("* * * * *", Some("Mars/Base"))] {
            let error = plan(&schedule(None), &edit(expression, zone), now).expect_err("refused").to_string();
            assert!(error.contains(expression), "{error}");
        }
        assert!(plan(&schedule(None), &edit(&"*".repeat(2_000), None), now).is_err());
    }

    #[test]
    fn what_was_due_while_it_was_paused_does_not_run_late() {
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        let (to, next) = plan(&schedule(Some("15 * * * *")), &ScheduleChange::Resume, now).expect("a plan");
        assert_eq!((to.paused, to.replaced), (Some(false), None));
        let NextRun::IfOverdue(next) = next else { panic!("{next:?}") };
        assert_eq!(next.to_rfc3339(), "2023-11-14T22:15:00+00:00");
    }
}
