//! `plugin list`: a folder of plugins as a host would serve it.

use std::collections::BTreeMap;

use clap::Args;
use serde::Serialize;

use super::fleet;
use crate::cli::database::DatabaseArgs;
use crate::cli::output;
use crate::cli::run::NO_FOLDER;
use crate::cli::usage::usage;
use crate::cli::workbench::{CodeCaching, WorkbenchArgs};
use crate::config::Config;
use crate::location::Location;
use crate::plugins::{File, claim_label};
use pgq_engine::Loaded;
use pgq_engine::digest::sha256;
use pgq_job::{EntrypointOptions, Signer};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// A folder, of which every *.wasm counts, or a reference to a registry, of which counts what a
    /// host pulled before; repeatable
    #[arg(long, env = "PGQ_HOST_PLUGINS", value_name = "PLACE", value_delimiter = ',')]
    plugins: Vec<Location>,
    /// List the plugins of the running hosts instead
    #[arg(long)]
    hosts: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workbench: WorkbenchArgs,
}

/// One file of the folder.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    plugin: Option<String>,
    version: Option<String>,
    sha256: Option<String>,
    /// The names of the keys that signed it.
    signed_by: Vec<String>,
    entrypoints: Vec<String>,
    /// How the jobs of each are claimed: `locked` or `marked`.
    claims: BTreeMap<String, &'static str>,
    state: State,
    /// Why it is refused.
    cause: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Served,
    Refused,
}

pub(super) async fn run(database: &DatabaseArgs, args: ListArgs) -> anyhow::Result<()> {
    if args.hosts {
        return fleet::list(database, args.json).await;
    }
    let workbench = args.workbench.set_up(CodeCaching::Cached)?;
    let places = if args.plugins.is_empty() { workbench.config.run.plugins.0.clone() } else { args.plugins };
    if places.is_empty() {
        return Err(usage(NO_FOLDER));
    }
    let rows: Vec<Row> = workbench.folder(&places).await?.iter().map(|file| Row::of(file, &workbench.config)).collect();
    if args.json {
        return output::json(&rows);
    }
    let head = ["File", "Plugin", "Version", "SHA-256", "Signed by", "Entrypoints", "Claims", "State"];
    output::table(head, rows.into_iter().map(Row::cells), &format!("No plugins in {}.", list(&places)))
}

impl Row {
    fn of(file: &File, config: &Config) -> Row {
        let plugin = file.serving.as_deref();
        // For a refused file: tells which of the broken builds it is.
        let digest = || std::fs::read(&file.path).ok().map(|bytes| sha256(&bytes));
        Row {
            file: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            plugin: plugin.map(|plugin| plugin.name.to_string()),
            version: plugin.map(|plugin| plugin.version.clone()),
            sha256: plugin.map(|plugin| plugin.sha256.clone()).or_else(digest),
            signed_by: plugin.map(|plugin| keys(&plugin.signed_by)).unwrap_or_default(),
            entrypoints: plugin
                .map(|plugin| plugin.declaration.entrypoints.keys().cloned().collect())
                .unwrap_or_default(),
            claims: plugin.map(|plugin| claims(plugin, config)).unwrap_or_default(),
            state: if plugin.is_some() { State::Served } else { State::Refused },
            cause: file.fault.as_ref().map(ToString::to_string),
        }
    }

    fn cells(self) -> [String; 8] {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let state = match (self.state, self.cause) {
            (State::Served, _) => "served".into(),
            (State::Refused, cause) => format!("refused: {}", cause.unwrap_or_default()),
        };
        let sha256 = self.sha256.map(|digest| digest.chars().take(12).collect());
        let entrypoints = if self.entrypoints.is_empty() { "-".into() } else { self.entrypoints.join(", ") };
        let claims = summary(&self.claims);
        let signed_by = if self.signed_by.is_empty() { "-".into() } else { self.signed_by.join(", ") };
        [self.file, dash(self.plugin), dash(self.version), dash(sha256), signed_by, entrypoints, claims, state]
    }
}

fn list(places: &[Location]) -> String {
    places.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

fn keys(signers: &[Signer]) -> Vec<String> {
    signers.iter().map(|signer| signer.key.clone()).collect()
}

fn claims(plugin: &Loaded, config: &Config) -> BTreeMap<String, &'static str> {
    let label = |(name, declared): (&String, &EntrypointOptions)| {
        let locks = config.claims.locks(&plugin.name, name, &plugin.grants);
        (name.clone(), claim_label(locks, declared))
    };
    plugin.declaration.entrypoints.iter().map(label).collect()
}

/// `locked`, or `locked; marked: resize`.
fn summary(claims: &BTreeMap<String, &'static str>) -> String {
    let marked: Vec<&str> = claims.iter().filter(|(_, label)| **label == "marked").map(|(name, _)| &**name).collect();
    match marked.len() {
        _ if claims.is_empty() => "-".into(),
        0 => "locked".into(),
        all if all == claims.len() => "marked".into(),
        _ => format!("locked; marked: {}", marked.join(", ")),
    }
}
