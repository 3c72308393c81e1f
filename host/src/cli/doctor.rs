//! `doctor`: the deployment checklist as a command.

use std::time::Duration;

use anyhow::bail;
use clap::Args;

use super::database::DatabaseArgs;
use super::output;
use super::run::DEFAULT_HEARTBEAT_TIMEOUT;
use super::workbench::{CodeCaching, WorkbenchArgs};
use crate::config::parse_duration;
use crate::doctor::{self, Deployment, Finding, PluginsFolder, Severity};
use crate::location::Location;
use pgq_engine::printable::printable_lines;

#[derive(Debug, Args)]
pub(super) struct DoctorArgs {
    /// The places of plugins on the hosts [default: those in the configuration]; repeatable
    #[arg(long, env = "PGQ_HOST_PLUGINS", value_name = "PLACE", value_delimiter = ',')]
    plugins: Vec<Location>,
    /// The role that hosts connect as [default: the role of this connection]
    #[arg(long)]
    role: Option<String>,
    /// How many hosts are planned [default: those that run, or one]
    #[arg(long, value_name = "N")]
    hosts: Option<u16>,
    #[arg(long, env = "PGQ_HOST_HEARTBEAT_TIMEOUT", value_parser = parse_duration, help = format!("The hosts' heartbeat timeout, in seconds [default: the one in the configuration, or {}]", DEFAULT_HEARTBEAT_TIMEOUT.as_secs()))]
    heartbeat_timeout: Option<Duration>,
    /// How long a transaction may stay open without a warning, in seconds
    #[arg(long, default_value = "60", value_name = "TIME", value_parser = parse_duration)]
    long_transaction: Duration,
    /// Exit with 1 for warnings as well
    #[arg(long)]
    strict: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workbench: WorkbenchArgs,
}

pub(super) async fn run(database: &DatabaseArgs, args: DoctorArgs) -> anyhow::Result<()> {
    let (json, strict) = (args.json, args.strict);
    let findings = doctor::examine(&args.deployment(database).await?).await;
    if json {
        output::json(&findings)?;
    } else {
        findings.iter().try_for_each(|finding| output::data(&text(finding)))?;
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    if errors > 0 || (strict && warnings > 0) {
        bail!("{errors} error(s) and {warnings} warning(s); the fix for each is above");
    }
    output::status(&format!("Fit for `run`: no error, {warnings} warning(s), {} note(s).", count(Severity::Note)));
    Ok(())
}

impl DoctorArgs {
    async fn deployment(self, database: &DatabaseArgs) -> anyhow::Result<Deployment> {
        let workbench = self.workbench.set_up(CodeCaching::Cached)?;
        let config = &workbench.config;
        let configured = config.run.heartbeat_timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
        let places = if self.plugins.is_empty() { config.run.plugins.0.clone() } else { self.plugins };
        let plugins = match places.is_empty() {
            false => {
                let files = workbench.folder(&places).await.map_err(|error| format!("{error:#}"));
                let sections = config.grants.keys().cloned().collect();
                let role = |(plugin, grants): (&String, &pgq_engine::Grants)| {
                    grants
                        .sql
                        .as_ref()
                        .filter(|sql| sql.elsewhere.is_none())
                        .map(|sql| (plugin.clone(), sql.role.clone()))
                };
                let roles = config.grants.iter().filter_map(role).collect();
                Some(PluginsFolder { places, files, sections, roles })
            }
            true => None,
        };
        Ok(Deployment {
            database: database.database()?.source,
            names: database.names()?,
            flags: database.flags(),
            role: self.role,
            hosts: self.hosts.map(usize::from),
            heartbeat_timeout: self.heartbeat_timeout.or(configured).unwrap_or(DEFAULT_HEARTBEAT_TIMEOUT),
            long_transaction: self.long_transaction,
            retention: config.retention.clone(),
            sealing: config.sealing.clone(),
            plugins,
        })
    }
}

/// One line for a check that passed. For the others: the problem, why it matters, and the fix.
fn text(finding: &Finding) -> String {
    let Finding { check, severity, found, why, remedy } = finding;
    // Names from the database must neither move the terminal's cursor nor look like a finding.
    let shown = |text: &str| printable_lines(text, &" ".repeat(25));
    let part = |word: &str, text: &Option<String>| {
        text.as_ref().map(|text| format!("\n{:23}{word}: {}", "", shown(text))).unwrap_or_default()
    };
    format!("{severity:<9}{check:<14}{}{}{}", shown(found), part("why", why), part("fix", remedy))
}
