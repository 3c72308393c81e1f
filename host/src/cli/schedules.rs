//! `schedules`: lists schedules, or removes some.

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::bulk::ActorArgs;
use super::database::{DatabaseArgs, explain};
use super::output;
use super::usage::OrUsage as _;

#[derive(Debug, Args)]
pub(super) struct SchedulesArgs {
    /// Remove the schedule with this id, or all schedules of this entrypoint; may be given several
    /// times
    #[arg(short, long, value_name = "ID|ENTRYPOINT")]
    remove: Vec<String>,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON array with the table's columns
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: SchedulesArgs) -> anyhow::Result<()> {
    // As in PgQueuer: digits are an id, anything else is a name.
    let (ids, names): (Vec<_>, Vec<_>) =
        args.remove.into_iter().partition(|what| what.bytes().all(|byte| byte.is_ascii_digit()));
    let removes = !ids.is_empty() || !names.is_empty();
    let ids = ids
        .iter()
        .map(|id| id.parse().with_context(|| format!("--remove {id}")))
        .collect::<Result<Vec<i64>, _>>()
        .or_usage()?;
    let operator = database.operator().await?;
    if removes {
        let removed = operator.remove_schedules(&ids, &names).await.map_err(explain)?;
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
    }
    let schedules = operator.schedules().await.map_err(explain)?;
    if args.json {
        return output::json(&schedules);
    }
    let rows = schedules.into_iter().map(|row| {
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
        ]
    });
    let head = ["ID", "Expression", "Entrypoint", "Status", "Next run", "Last run", "Heartbeat", "Created", "Updated"];
    output::table(head, rows, "No schedules.")
}
