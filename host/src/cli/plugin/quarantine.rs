//! `plugin versions`, `plugin quarantine`, `plugin lift`: what the fleet knows of each version, and
//! taking one out of service by hand.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use crate::cli::bulk::ActorArgs;
use crate::cli::database::{DatabaseArgs, explain};
use crate::cli::output;
use crate::cli::usage::usage;
use crate::cli::values::digest;
use pgq_queue::{PluginLook, Plugins, Quarantine, QuarantineError, SignerLook, VersionLook};

#[derive(Debug, Args)]
pub(super) struct VersionsArgs {
    /// Of this plugin
    plugin: Option<String>,
    /// Print a JSON array: with grants, denials, limits hit and verdicts of each version
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct QuarantineArgs {
    /// The sha256 of the file, or its beginning where a host has served it
    #[arg(value_parser = digest)]
    sha256: String,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON object
    #[arg(long)]
    json: bool,
}

pub(super) async fn versions(database: &DatabaseArgs, args: VersionsArgs) -> anyhow::Result<()> {
    let mut known = database.operator().await?.plugins().await.map_err(explain)?;
    if let Some(name) = &args.plugin {
        known.plugins.retain(|plugin| plugin.name == *name);
    }
    if args.json {
        return output::json(&known.plugins);
    }
    let head = ["Plugin", "Version", "SHA-256", "Signed by", "First served", "Served on", "Runs", "State"];
    let rows = known.plugins.iter().flat_map(|plugin| plugin.versions.iter().map(|version| row(plugin, version)));
    let none = match &args.plugin {
        Some(name) => format!("No host has served a plugin {name:?}; without a name, all are listed."),
        None => "No host has served a plugin.".to_owned(),
    };
    output::table(head, rows, &none)
}

fn row(plugin: &PluginLook, version: &VersionLook) -> [String; 8] {
    let canary = version.canary_on.iter().map(|host| format!("{host} (canary)"));
    let hosts: Vec<String> = version.stable_on.iter().cloned().chain(canary).collect();
    let runs = version.runs.as_ref().map_or_else(String::new, |runs| match runs.failed {
        Some(failed) => format!("{failed} of {} failed", runs.runs),
        None => runs.runs.to_string(),
    });
    [
        plugin.name.clone(),
        version.version.clone(),
        version.sha256.chars().take(12).collect(),
        or_dash(SignerLook::list(&version.signed_by)),
        version.first_served.map(output::time).unwrap_or_default(),
        or_dash(hosts.join(", ")),
        runs,
        state(version).join("; "),
    ]
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

/// What is to be said of it.
fn state(version: &VersionLook) -> Vec<String> {
    let mut said = Vec::new();
    for judgement in &version.judgements {
        let entrypoint = judgement.entrypoint.as_ref().map(|name| format!(" {name}")).unwrap_or_default();
        said.push(match judgement.verdict.as_str() {
            // Its jobs may fail all the same.
            "good" => "does not crash".to_owned(),
            verdict => {
                format!("{}{entrypoint} by {}: {}", verdict.replace('_', " "), judgement.host, judgement.reason)
            }
        });
    }
    said.extend(version.errors.iter().map(|refused| format!("refused: {}", refused.error)));
    if let Some(report) = &version.report {
        let limits: Vec<String> = report.limits.iter().map(|(limit, times)| format!("{limit} {times}x")).collect();
        if !limits.is_empty() {
            said.push(format!("limits hit: {}", limits.join(", ")));
        }
        let denied = report.denied.iter().take(3);
        said.extend(denied.map(|one| format!("denied {} {} {}x: {}", one.what, one.target, one.times, one.why)));
        said.extend(report.missing.iter().take(3).map(|missing| format!("not granted: {missing}")));
    }
    said
}

/// The version whose digest begins so; a whole digest need not be known.
fn resolved(known: &Plugins, digits: &str) -> anyhow::Result<Quarantine> {
    let versions = known.plugins.iter().flat_map(|plugin| plugin.versions.iter().map(move |one| (plugin, one)));
    let mut found: Vec<_> = versions.filter(|(_, version)| version.sha256.starts_with(digits)).collect();
    found.dedup_by(|one, other| one.1.sha256 == other.1.sha256);
    match found[..] {
        [(plugin, version)] => Ok(Quarantine {
            sha256: version.sha256.clone(),
            plugin: plugin.name.clone(),
            version: Some(version.version.clone()).filter(|version| !version.is_empty()),
        }),
        [] if digits.len() == 64 => Ok(Quarantine { sha256: digits.to_owned(), plugin: String::new(), version: None }),
        [] => bail!(
            "no host has served a version whose sha256 begins with {digits}; give all 64 digits, or see `pgq-host plugin versions`"
        ),
        _ => Err(usage(format!("{} versions begin with {digits}; give more digits", found.len()))),
    }
}

pub(super) async fn quarantine(database: &DatabaseArgs, args: QuarantineArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    let version = resolved(&operator.plugins().await.map_err(explain)?, &args.sha256)?;
    operator.quarantine(&version, &args.actor.actor()).await.map_err(told)?;
    let named = match &version.version {
        Some(number) => format!("{} {number}", version.plugin),
        None => version.sha256.clone(),
    };
    output::status(&format!("Quarantined {named}: no host serves it until `pgq-host plugin lift {}`.", args.sha256));
    done(&version, true, args.json)
}

pub(super) async fn lift(database: &DatabaseArgs, args: QuarantineArgs) -> anyhow::Result<()> {
    let operator = database.operator().await?;
    let version = resolved(&operator.plugins().await.map_err(explain)?, &args.sha256)?;
    operator.lift_quarantine(&version.sha256, &args.actor.actor()).await.map_err(told)?;
    output::status("Lifted: hosts whose folder has the file serve it again.");
    done(&version, false, args.json)
}

fn done(version: &Quarantine, quarantined: bool, json: bool) -> anyhow::Result<()> {
    if !json {
        return Ok(());
    }
    output::object(&json!({
        "plugin": version.plugin, "version": version.version, "sha256": version.sha256, "quarantined": quarantined,
    }))
}

fn told(error: QuarantineError) -> anyhow::Error {
    match error {
        QuarantineError::Database(error) => explain(error),
        QuarantineError::NoReason => usage("why is it quarantined? say so with --reason"),
        error => error.into(),
    }
}
