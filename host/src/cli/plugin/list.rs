//! `plugin list`: a folder of plugins as a host would serve it.

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use serde::Serialize;

use super::bench::{Bench, BenchArgs, Compiled};
use crate::cli::output;
use crate::digest::sha256;
use crate::plugins::{Folder, PluginSet};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// The folder: every *.wasm in it
    #[arg(long, env = "PGQ_HOST_PLUGINS", value_name = "DIR")]
    plugins: Option<PathBuf>,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    bench: BenchArgs,
}

/// One file of one source of plugins.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    plugin: Option<String>,
    version: Option<String>,
    sha256: Option<String>,
    entrypoints: Vec<String>,
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

pub(super) async fn run(args: ListArgs) -> anyhow::Result<()> {
    let bench = args.bench.set_up(Compiled::Kept)?;
    let Some(folder) = args.plugins.clone().or_else(|| bench.config.run.plugins.clone()) else {
        bail!("no folder of plugins is named; use --plugins DIR, PGQ_HOST_PLUGINS, or `plugins` under [run] in pgq-host.toml");
    };
    let rows = in_folder(bench, folder.clone()).await?;
    if args.json {
        return output::json(&rows);
    }
    let head = ["File", "Plugin", "Version", "SHA-256", "Entrypoints", "State"];
    output::table(head, rows.into_iter().map(Row::cells), &format!("No plugins in {}.", folder.display()))
}

/// What a host would make of the folder now, in the order of the files' names.
async fn in_folder(bench: Bench, path: PathBuf) -> anyhow::Result<Vec<Row>> {
    let folder = Folder { path, grants: bench.config.grants.clone(), caps: bench.config.caps };
    let (engine, cache) = (bench.engine.clone(), bench.cache.clone());
    let set = bench.guests.spawn(async move { folder.scan(&engine, &cache).await }).await??;
    let mut rows = rows_of(&set);
    rows.sort_by(|one, other| one.file.cmp(&other.file));
    Ok(rows)
}

fn rows_of(set: &PluginSet) -> Vec<Row> {
    let file = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let served = set.plugins().iter().map(|(path, plugin)| Row {
        file: file(path),
        plugin: Some(plugin.name.to_string()),
        version: Some(plugin.version.clone()),
        sha256: Some(plugin.sha256.clone()),
        entrypoints: plugin.declaration.entrypoints.keys().cloned().collect(),
        state: State::Served,
        cause: None,
    });
    let refused = set.refused().iter().map(|refused| Row {
        file: file(&refused.path),
        plugin: None,
        version: None,
        // Which of the broken builds it is.
        sha256: std::fs::read(&refused.path).ok().map(|bytes| sha256(&bytes)),
        entrypoints: Vec::new(),
        state: State::Refused,
        cause: Some(refused.cause.to_string()),
    });
    served.chain(refused).collect()
}

impl Row {
    fn cells(self) -> [String; 6] {
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".into());
        let state = match (self.state, self.cause) {
            (State::Served, _) => "served".into(),
            (State::Refused, cause) => format!("refused: {}", cause.unwrap_or_default()),
        };
        let sha256 = self.sha256.map(|digest| digest.chars().take(12).collect());
        let entrypoints = if self.entrypoints.is_empty() { "-".into() } else { self.entrypoints.join(", ") };
        [self.file, dash(self.plugin), dash(self.version), dash(sha256), entrypoints, state]
    }
}
