//! `plugin list --hosts`, `plugin reset`, `plugin reload`: reach the running hosts through their
//! shared database.

use anyhow::bail;
use chrono::Utc;
use clap::Args;
use serde_json::{Value, json};

use crate::announce;
use crate::cli::bulk::ActorArgs;
use crate::cli::database::{DatabaseArgs, explain};
use crate::cli::output;
use pgq_queue::{FleetCommand, HostRow};

#[derive(Debug, Args)]
pub(super) struct ResetArgs {
    /// The name of a plugin or an entrypoint, or of a rejected file without its extension
    name: String,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON object with the number of hosts that were told
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct ReloadArgs {
    /// Print a JSON object with the number of hosts that were told
    #[arg(long)]
    json: bool,
}

pub(super) async fn list(database: &DatabaseArgs, json: bool) -> anyhow::Result<()> {
    let hosts = database.operator().await?.hosts().await.map_err(explain)?;
    if json {
        return output::json(&hosts);
    }
    let head = ["Host", "Seen", "File", "Plugin", "Version", "SHA-256", "Signed by", "State"];
    output::table(head, hosts.iter().flat_map(rows), "No host runs on this queue.")
}

pub(super) async fn reset(database: &DatabaseArgs, args: ResetArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    let hosts = operator.hosts().await.map_err(explain)?;
    let known = |file: &Value| {
        file["plugin"] == *args.name
            || file["entrypoints"].as_array().is_some_and(|all| all.iter().any(|e| *e == *args.name))
    };
    // Delete them before telling the hosts, which read them again.
    let forgotten = operator.forget_judgements(&args.name).await.map_err(explain)?;
    let file = |file: &Value| file["file"].as_str().and_then(|name| name.strip_suffix(".wasm")) == Some(&args.name);
    if forgotten == 0
        && !hosts.iter().flat_map(|host| host.plugins.as_array()).flatten().any(|one| known(one) || file(one))
    {
        bail!(
            "no running host serves a plugin or an entrypoint named {:?}; see `pgq-host plugin list --hosts`",
            args.name
        );
    }
    let asked = json!({ "plugin": args.name });
    operator.begin_audit("reset", &args.actor.actor(), &asked).await.map_err(explain)?;
    operator.command(&FleetCommand::Reset(args.name)).await.map_err(explain)?;
    if forgotten > 0 {
        output::status(&format!("Deleted {forgotten} judgement(s)."));
    }
    told(hosts.len(), args.json)
}

pub(super) async fn reload(database: &DatabaseArgs, args: ReloadArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    operator.command(&FleetCommand::Rescan).await.map_err(explain)?;
    told(operator.hosts().await.map_err(explain)?.len(), args.json)
}

fn told(hosts: usize, json: bool) -> anyhow::Result<()> {
    output::status(&format!("Told {hosts} host(s)."));
    if json { output::object(&json!({ "told": hosts })) } else { Ok(()) }
}

fn rows(host: &HostRow) -> Vec<[String; 8]> {
    let silent = Utc::now() - host.seen;
    // More than twice the longest pause between two announcements.
    let lost = silent.to_std().is_ok_and(|silent| silent > announce::PERIOD.mul_f64(2.5));
    let seen = format!("{} s ago{}", silent.num_seconds().max(0), if lost { " (lost?)" } else { "" });
    let name = format!("{}:{}", host.name, host.pid);
    let files = host.plugins.as_array().map(Vec::as_slice).unwrap_or_default();
    if files.is_empty() {
        let none = || "-".to_owned();
        return vec![[name, seen, none(), none(), none(), none(), none(), "no plugins".into()]];
    }
    files.iter().map(|file| row(&name, &seen, file)).collect()
}

fn row(host: &str, seen: &str, file: &Value) -> [String; 8] {
    let text = |key: &str| file[key].as_str().unwrap_or("-").to_owned();
    let served = file["plugin"].is_string();
    let mut state = vec![if served { "served".to_owned() } else { "refused".to_owned() }];
    if let Some(canary) = file["canary"]["version"].as_str() {
        state.push(format!("canary {canary}"));
    }
    let paused: Vec<&str> = file["paused"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !paused.is_empty() {
        state.push(format!("paused: {}", paused.join(", ")));
    }
    let held: Vec<&str> = file["held"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    if !held.is_empty() {
        state.push(format!("paused by an operator: {}", held.join(", ")));
    }
    if let Some(error) = file["error"].as_str() {
        state.push(if served { format!("the file is refused: {error}") } else { error.to_owned() });
    }
    let digest: String = text("sha256").chars().take(12).collect();
    let keys: Vec<&str> = file["signed_by"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let signed_by = if keys.is_empty() { "-".into() } else { keys.join(", ") };
    [host.into(), seen.into(), text("file"), text("plugin"), text("version"), digest, signed_by, state.join("; ")]
}
