//! `plugin push`: a component goes to a registry.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use chrono::{DateTime, Utc};
use clap::Args;
use pgq_registry::{Client, Reference, WasmConfig};
use serde_json::json;

use super::sign::read_key;
use crate::cli::output;
use crate::cli::plugin_sources::RegistryArgs;
use crate::cli::workbench::{self, CodeCaching, WorkbenchArgs};
use pgq_engine::digest::sha256;

#[derive(Debug, Args)]
pub(super) struct PushArgs {
    /// The component file
    file: PathBuf,
    #[arg(help = "Where it goes: oci://registry/name:tag")]
    reference: Reference,
    /// Sign it in the registry with this private key, as `cosign sign` does
    #[arg(long, env = "PGQ_HOST_SIGNING_KEY", value_name = "FILE")]
    key: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistryArgs,
    /// Print a JSON object: reference, digest, component, signed
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workbench: WorkbenchArgs,
}

pub(super) async fn run(args: PushArgs) -> anyhow::Result<()> {
    let key = args.key.as_deref().map(read_key).transpose()?;
    let mut workbench = args.workbench.set_up(CodeCaching::Cached)?;
    workbench.cache = workbench.cache.quick_first();
    // Who signs it decides that later.
    workbench.config.forget_trust();
    let bytes = workbench::read(&args.file)?;
    // What no host would load is not worth a place there.
    let plugin = match workbench.load(&args.file, bytes.clone()).await? {
        Ok(plugin) => plugin,
        Err(error) => bail!("a host would refuse {}: {error}", args.file.display()),
    };
    let client = Client::new(args.registries.insecure(&workbench.config))?;
    let config = WasmConfig::new(created()?, plugin.imports(), plugin.exports());
    let annotations = BTreeMap::from([
        ("org.opencontainers.image.title".to_owned(), plugin.name.to_string()),
        ("org.opencontainers.image.version".to_owned(), plugin.version.clone()),
    ]);
    let component = format!("sha256:{}", sha256(&bytes));
    let manifest = client.push(&args.reference, bytes, config, annotations).await?;
    let digest = format!("sha256:{}", sha256(&manifest));
    if let Some(key) = &key {
        let signing = client.sign(&args.reference, &manifest, key).await;
        signing.with_context(|| format!("{} is there as {digest}, and its signature is not", args.reference))?;
    }
    output::status(&format!(
        "Pushed {} {} to {}{}.",
        plugin.name,
        plugin.version,
        args.reference,
        if key.is_some() { ", signed" } else { "" }
    ));
    if args.json {
        return output::object(&json!({
            "reference": args.reference.to_string(), "digest": digest, "component": component, "signed": key.is_some(),
        }));
    }
    output::data(&args.reference.with_digest(&digest).to_string())
}

/// Now, or what a reproducible build says instead.
fn created() -> anyhow::Result<DateTime<Utc>> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) if !text.is_empty() => {
            let seconds = text.parse().ok().and_then(|seconds| DateTime::from_timestamp(seconds, 0));
            seconds.with_context(|| format!("SOURCE_DATE_EPOCH is {text:?}, which is not a number of seconds"))
        }
        _ => Ok(Utc::now()),
    }
}
