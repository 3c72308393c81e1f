//! `schedules`: lists schedules, and changes, runs or removes some.

use anyhow::Context as _;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::bulk::ActorArgs;
use super::database::{DatabaseArgs, explain};
use super::output;
use super::usage::{OrUsage as _, usage};
use pgq_queue::{ListedSchedule, Operator};
use pgq_web::schedule_change::{ScheduleChange, ScheduleError, change};

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("verb").args(["remove", "run", "pause", "resume", "edit", "restore"]))]
pub(super) struct SchedulesArgs {
    /// Remove the schedule with this id, or all schedules of this entrypoint; may be given several
    /// times
    #[arg(short, long, value_name = "ID|ENTRYPOINT")]
    remove: Vec<String>,
    /// Enqueue its job now; the next tick stays where it is
    #[arg(long, value_name = "ID")]
    run: Option<i64>,
    /// Have hosts skip its ticks: of this schedule, or of all of this entrypoint; may be given several
    /// times
    #[arg(long, value_name = "ID|ENTRYPOINT")]
    pause: Vec<String>,
    /// Have hosts run it again, from the next tick on
    #[arg(long, value_name = "ID|ENTRYPOINT")]
    resume: Vec<String>,
    /// Have hosts run it by the expression of --expression instead of the one that its plugin declares
    #[arg(long, value_name = "ID", requires = "expression")]
    edit: Option<i64>,
    /// A cron expression, as plugins write it
    #[arg(long, value_name = "CRON", requires = "edit")]
    expression: Option<String>,
    /// The time zone of --expression [default: UTC]
    #[arg(long, value_name = "ZONE", requires = "edit")]
    time_zone: Option<String>,
    /// Have hosts run it as its plugin declares it again
    #[arg(long, value_name = "ID|ENTRYPOINT")]
    restore: Vec<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON array with the table's columns
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: SchedulesArgs) -> anyhow::Result<()> {
    let (ids, names) = chosen("remove", &args.remove)?;
    let operator = database.operator().await?;
    if !args.remove.is_empty() {
        remove(&operator, &args, &ids, &names).await?;
    }
    if let Some(id) = args.run {
        let job = operator.run_schedule(id).await.map_err(explain)?.ok_or(ScheduleError::Unknown(id))?;
        let asked = json!({ "schedule": id, "job": job });
        operator.begin_audit("run_schedule", &args.actor.actor(), &asked).await.map_err(explain)?;
        output::status(&format!("Enqueued job {job}."));
    }
    for (flag, what, wanted, done) in [
        ("pause", &args.pause, ScheduleChange::Pause, "Paused"),
        ("resume", &args.resume, ScheduleChange::Resume, "Resumed"),
        ("restore", &args.restore, ScheduleChange::Restore, "Put back"),
    ] {
        let (ids, names) = chosen(flag, what)?;
        adjust(&operator, &args, &named(&operator, ids, &names).await?, &wanted, done).await?;
    }
    if let (Some(id), Some(expression)) = (args.edit, &args.expression) {
        let wanted = ScheduleChange::Edit { expression: expression.clone(), zone: args.time_zone.clone() };
        adjust(&operator, &args, &[id], &wanted, "Edited").await?;
    }
    let schedules = operator.schedules().await.map_err(explain)?;
    if args.json {
        return output::json(&schedules);
    }
    let head = [
        "ID",
        "Expression",
        "Entrypoint",
        "Status",
        "Next run",
        "Last run",
        "Heartbeat",
        "Created",
        "Updated",
        "Changed",
    ];
    output::table(head, schedules.into_iter().map(row), "No schedules.")
}

/// As in PgQueuer: digits are an id, anything else is a name.
fn chosen(flag: &str, what: &[String]) -> anyhow::Result<(Vec<i64>, Vec<String>)> {
    let (ids, names): (Vec<&String>, Vec<&String>) =
        what.iter().partition(|what| what.bytes().all(|byte| byte.is_ascii_digit()));
    let ids = ids.into_iter().map(|id| id.parse().with_context(|| format!("--{flag} {id}")));
    Ok((ids.collect::<Result<_, _>>().or_usage()?, names.into_iter().cloned().collect()))
}

/// These, and those of these entrypoints.
async fn named(operator: &Operator, mut ids: Vec<i64>, names: &[String]) -> anyhow::Result<Vec<i64>> {
    if names.is_empty() {
        return Ok(ids);
    }
    let schedules = operator.schedules().await.map_err(explain)?;
    for name in names {
        let before = ids.len();
        ids.extend(schedules.iter().filter(|schedule| schedule.entrypoint == *name).map(|schedule| schedule.id));
        if ids.len() == before {
            anyhow::bail!("there is no schedule of {name:?}; `pgq-host schedules` lists them");
        }
    }
    Ok(ids)
}

async fn adjust(
    operator: &Operator,
    args: &SchedulesArgs,
    ids: &[i64],
    wanted: &ScheduleChange,
    done: &str,
) -> anyhow::Result<()> {
    for id in ids {
        let adjusted = match change(operator, &args.actor.actor(), *id, wanted).await {
            Ok(adjusted) => adjusted,
            Err(ScheduleError::Database(error)) => return Err(explain(error)),
            Err(error @ ScheduleError::Expression(_)) => return Err(usage(error.to_string())),
            Err(error) => return Err(error.into()),
        };
        output::status(&format!(
            "{done} schedule {id} of {:?}. Python workers know nothing of it.",
            adjusted.entrypoint
        ));
    }
    Ok(())
}

async fn remove(operator: &Operator, args: &SchedulesArgs, ids: &[i64], names: &[String]) -> anyhow::Result<()> {
    let removed = operator.remove_schedules(ids, names).await.map_err(explain)?;
    for row in &removed {
        let asked = json!({ "schedule": row.id, "entrypoint": row.entrypoint });
        operator.begin_audit("remove_schedule", &args.actor.actor(), &asked).await.map_err(explain)?;
    }
    for id in ids.iter().filter(|id| !removed.iter().any(|row| row.id == **id)) {
        output::status(&format!("There is no schedule {id}."));
    }
    for name in names.iter().filter(|name| !removed.iter().any(|row| row.entrypoint == **name)) {
        output::status(&format!("There is no schedule of {name:?}."));
    }
    output::status(&format!("Removed {} schedule(s).", removed.len()));
    Ok(())
}

fn row(row: ListedSchedule) -> [String; 10] {
    let changed = changed(&row);
    [
        row.id.to_string(),
        row.expression,
        row.entrypoint,
        row.status.unwrap_or_default(),
        output::time(row.next_run),
        row.last_run.map(output::time).unwrap_or_default(),
        output::time(row.heartbeat),
        output::time(row.created),
        output::time(row.updated),
        changed,
    ]
}

/// What an operator changed.
fn changed(row: &ListedSchedule) -> String {
    let paused = row.paused.then(|| "paused".to_owned());
    let replaced = row.replaced.as_ref().map(|expression| format!("runs by {expression}"));
    let what: Vec<String> = paused.into_iter().chain(replaced).collect();
    match (what.is_empty(), &row.author) {
        (true, _) => String::new(),
        (false, author) => {
            let reason = row.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
            format!("{} ({}{reason})", what.join(", "), author.as_deref().unwrap_or("?"))
        }
    }
}
