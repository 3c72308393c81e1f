//! `plugin lock`: writes down which bytes the references stand for now.

use std::path::PathBuf;

use clap::Args;
use pgq_registry::{Client, Reference};
use serde_json::json;

use crate::cli::output;
use crate::cli::plugin_sources::RegistryArgs;
use crate::cli::usage::{OrUsage as _, usage};
use crate::config::Config;
use crate::location::Location;
use crate::lock_file::{DEFAULT_LOCK, LockFile};

#[derive(Debug, Args)]
pub(super) struct LockArgs {
    /// The places of plugins, of which the references count [default: those in the configuration];
    /// repeatable
    #[arg(long, env = "PGQ_HOST_PLUGINS", value_name = "PLACE", value_delimiter = ',')]
    plugins: Vec<Location>,
    /// Where to write
    #[arg(long, env = "PGQ_HOST_LOCK_FILE", value_name = "FILE", default_value = DEFAULT_LOCK)]
    lock_file: PathBuf,
    #[command(flatten)]
    registries: RegistryArgs,
    /// The file with `plugins` under [run] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    /// Print a JSON array: reference, digest
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: LockArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref()).or_usage()?;
    let places = if args.plugins.is_empty() { config.run.plugins.0.clone() } else { args.plugins };
    let reference = |place: &Location| match place {
        Location::Registry(reference) => Some(reference.clone()),
        Location::Folder(_) => None,
    };
    let references: Vec<Reference> = places.iter().filter_map(reference).collect();
    if references.is_empty() {
        return Err(usage("no reference to a registry is configured; name one with --plugins oci://REGISTRY/NAME:TAG"));
    }
    let client = Client::new(args.registries.insecure(&config))?;
    let mut lock = LockFile::default();
    for reference in &references {
        let digest = match reference.digest() {
            Some(digest) => digest.to_owned(),
            None => client.digest(reference).await?,
        };
        lock.references.insert(reference.to_string(), digest);
    }
    lock.write(&args.lock_file)?;
    output::status(&format!("Wrote {}", args.lock_file.display()));
    if args.json {
        let row = |(reference, digest): (&String, &String)| json!({ "reference": reference, "digest": digest });
        return output::json(&lock.references.iter().map(row).collect::<Vec<_>>());
    }
    let lines: Vec<String> =
        lock.references.iter().map(|(reference, digest)| format!("{reference} {digest}")).collect();
    output::data(&lines.join("\n"))
}
