//! `audit`: who changed what by hand.

use anyhow::bail;
use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::output;

#[derive(Debug, Args)]
pub(super) struct AuditArgs {
    /// The most entries to show
    #[arg(short = 'n', long, default_value_t = 25, value_parser = clap::value_parser!(i64).range(0..))]
    limit: i64,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: AuditArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    if !operator.keeps_audit().await.map_err(explain)? {
        bail!(
            "the database has no audit, or this role may not use it: run `pgq-host upgrade`, `pgq-host grant ROLE --apply`"
        );
    }
    let entries = operator.audit(args.limit).await.map_err(explain)?;
    if args.json {
        return output::json(&entries);
    }
    let rows = entries.into_iter().map(|entry| {
        [
            output::time(entry.at),
            entry.action,
            entry.jobs.to_string(),
            entry.author,
            entry.role,
            entry.reason.unwrap_or_default(),
            entry.filter.to_string(),
        ]
    });
    output::table(["At", "Action", "Jobs", "Author", "Role", "Reason", "What"], rows, "Nothing was changed by hand.")
}
