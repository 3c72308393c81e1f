//! `pause`, `resume`, `pauses`: what hosts are to leave in the queue for now.

use std::time::Duration;

use anyhow::bail;
use clap::{ArgGroup, Args};
use serde_json::json;

use super::bulk::ActorArgs;
use super::database::{DatabaseArgs, explain};
use super::output;
use super::values::digest;
use crate::config::parse_duration;
use pgq_queue::environment::system_user;
use pgq_queue::{Actor, Operator, PauseOrder, PauseTarget};

/// Whoever finds it paused finds out why.
fn reason(text: &str) -> Result<String, &'static str> {
    if text.trim().is_empty() { Err("say why it is paused") } else { Ok(text.to_owned()) }
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("what").required(true).args(["entrypoint", "plugin", "sha256", "all"]))]
pub(super) struct TargetArgs {
    /// This entrypoint
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// All entrypoints of this plugin
    #[arg(long, value_name = "NAME")]
    plugin: Option<String>,
    /// All entrypoints that are served by the version whose sha256 begins so
    #[arg(long, value_name = "SHA256", value_parser = digest)]
    sha256: Option<String>,
    /// Every entrypoint
    #[arg(long)]
    all: bool,
}

#[derive(Debug, Args)]
pub(super) struct PauseArgs {
    #[command(flatten)]
    target: TargetArgs,
    /// Why, for whoever wonders
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: String,
    /// Who pauses it [default: the system's user]
    #[arg(long, value_name = "NAME")]
    author: Option<String>,
    /// Go on after this time [default: when it is resumed]
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    lasts: Option<Duration>,
    /// Skip ticks of schedules meanwhile; otherwise their jobs wait in the queue
    #[arg(long)]
    skip_ticks: bool,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    target: TargetArgs,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct PausesArgs {
    /// Print a JSON array
    #[arg(long)]
    json: bool,
}

impl TargetArgs {
    fn target(self) -> PauseTarget {
        let some = self.entrypoint.map(PauseTarget::Entrypoint).or(self.plugin.map(PauseTarget::Plugin));
        some.or(self.sha256.map(PauseTarget::Sha256)).unwrap_or(PauseTarget::All)
    }
}

fn named(target: &PauseTarget) -> String {
    match target {
        PauseTarget::All => "everything".into(),
        PauseTarget::Plugin(name) => format!("the plugin {name:?}"),
        PauseTarget::Entrypoint(name) => format!("the entrypoint {name:?}"),
        PauseTarget::Sha256(digits) => format!("versions {digits}..."),
    }
}

async fn operator(database: &DatabaseArgs) -> anyhow::Result<Operator> {
    let operator = database.operator().await?;
    if !operator.knows_pauses().await.map_err(explain)? {
        bail!(
            "the database has no table for pauses, or this role may not use it: run `pgq-host upgrade`, `pgq-host grant ROLE --apply`, and start the hosts again"
        );
    }
    Ok(operator)
}

pub(super) async fn pause(database: &DatabaseArgs, args: PauseArgs) -> anyhow::Result<()> {
    let operator = operator(database).await?;
    let author = args.author.or_else(system_user).unwrap_or_else(|| "unknown".into());
    let (target, lasts, skips_ticks) = (args.target.target(), args.lasts, args.skip_ticks);
    let order = PauseOrder { target, reason: args.reason, author, lasts, skips_ticks };
    let until = operator.pause(&order).await.map_err(explain)?;
    let actor = Actor { author: order.author.clone(), reason: Some(order.reason.clone()) };
    let asked = json!({ "target": order.target, "until": until, "skip_ticks": skips_ticks });
    operator.begin_audit("pause", &actor, &asked).await.map_err(explain)?;
    let hosts = operator.hosts_if_any().await.map_err(explain)?.len();
    let end = until.map_or_else(|| "it is resumed".into(), output::time);
    let ticks =
        if skips_ticks { "Ticks of its schedules are skipped." } else { "Ticks of its schedules wait as jobs." };
    output::status(&format!(
        "Paused {} until {end}. Told {hosts} host(s): they begin no job of it, and those that run end normally. {ticks} Python workers know nothing of this, and go on.",
        named(&order.target)
    ));
    if args.json {
        return output::object(&json!({ "paused": order.target, "until": until, "hosts": hosts }));
    }
    Ok(())
}

pub(super) async fn resume(database: &DatabaseArgs, args: ResumeArgs) -> anyhow::Result<()> {
    let (operator, target) = (operator(database).await?, args.target.target());
    let resumed = operator.resume(&target).await.map_err(explain)?;
    if resumed {
        operator.begin_audit("resume", &args.actor.actor(), &json!({ "target": target })).await.map_err(explain)?;
    }
    if args.json {
        output::object(&json!({ "target": target, "resumed": resumed }))?;
    }
    if !resumed {
        bail!("{} is not paused; `pgq-host pauses` lists what is", named(&target));
    }
    let rest = operator.pauses().await.map_err(explain)?.len();
    let others = if rest > 0 { format!(" {rest} other pause(s) hold; see `pgq-host pauses`.") } else { String::new() };
    output::status(&format!("Resumed {}.{others}", named(&target)));
    Ok(())
}

pub(super) async fn list(database: &DatabaseArgs, args: PausesArgs) -> anyhow::Result<()> {
    let pauses = operator(database).await?.pauses().await.map_err(explain)?;
    if args.json {
        return output::json(&pauses);
    }
    let rows = pauses.into_iter().map(|pause| {
        [
            pause.kind,
            pause.name,
            output::time(pause.paused),
            pause.until.map(output::time).unwrap_or_default(),
            if pause.skip_ticks { "skipped" } else { "wait" }.to_owned(),
            pause.author,
            pause.role,
            pause.reason,
        ]
    });
    output::table(["Kind", "Name", "Paused", "Until", "Ticks", "Author", "Role", "Reason"], rows, "Nothing is paused.")
}
