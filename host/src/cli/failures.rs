//! `failures`: failed runs by their cause.

use std::time::Duration;

use clap::Args;

use super::database::{DatabaseArgs, explain};
use super::output;
use crate::config::parse_duration;
use pgq_queue::{FailureFilter, FailureGroup};

/// Enough of a message to recognize it.
const MESSAGE_CHARACTERS: usize = 80;

#[derive(Debug, Args)]
pub(super) struct FailuresArgs {
    /// Of this entrypoint
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// At most this old; of these, only the newest are looked at
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    younger: Option<Duration>,
    /// The most causes to show
    #[arg(short = 'n', long, default_value_t = 25)]
    limit: usize,
    /// Show the latest message of each, whole
    #[arg(long)]
    wide: bool,
    /// Print a JSON object: the groups, and how far they were counted
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: FailuresArgs) -> anyhow::Result<()> {
    let filter = FailureFilter { entrypoint: args.entrypoint, younger: args.younger };
    let mut failures = database.operator().await?.failures(&filter).await.map_err(explain)?;
    let more = failures.groups.len().saturating_sub(args.limit);
    failures.groups.truncate(args.limit);
    if args.json {
        return output::json_object(&failures);
    }
    let head = ["Cause", "Failed", "Held", "First seen", "Last seen", "Began with", "Entrypoint", "Error", "Jobs"];
    output::table(head, failures.groups.iter().map(|group| row(group, args.wide)), "Nothing has failed.")?;
    if more > 0 {
        output::status(&format!("{more} more causes; --limit shows them."));
    }
    if failures.cut {
        output::status(
            "There are failures that nobody has counted and that were not looked at: a cause may have begun before.",
        );
    }
    Ok(())
}

fn row(group: &FailureGroup, wide: bool) -> [String; 9] {
    let began = group.versions.first();
    let frame = group.cause.frame.as_ref().map(|frame| format!(" in {frame}")).unwrap_or_default();
    let error = format!("{}: {}{frame}", group.cause.exception_type, group.cause.message);
    let examples = if group.held_examples.is_empty() { &group.examples } else { &group.held_examples };
    [
        group.key.clone(),
        group.failures.to_string(),
        group.held.to_string(),
        output::time(group.first_seen),
        output::time(group.last_seen),
        began.map_or_else(
            || "-".into(),
            |one| format!("{} {} {}", one.plugin, one.version, one.sha256.chars().take(12).collect::<String>()),
        ),
        group.cause.entrypoint.clone(),
        match wide {
            true => format!("{}: {}{frame}", group.cause.exception_type, group.last_message),
            false => output::short(&error, MESSAGE_CHARACTERS),
        },
        examples.iter().take(3).map(ToString::to_string).collect::<Vec<_>>().join(" "),
    ]
}
