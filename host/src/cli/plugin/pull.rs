//! `plugin pull`: a component comes from a registry.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use pgq_registry::{Client, Reference};
use serde_json::json;

use crate::cli::output;
use crate::cli::plugin_sources::RegistryArgs;
use crate::cli::usage::OrUsage as _;
use crate::config::Config;
use crate::install::write_whole;
use crate::mirror;
use crate::plugins::signature_path;
use pgq_engine::digest::sha256;

#[derive(Debug, Args)]
pub(super) struct PullArgs {
    #[arg(help = "What to get: oci://registry/name:tag or @sha256:...")]
    reference: Reference,
    /// The folder in which NAME.wasm and its signatures appear [default: the working directory]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    registries: RegistryArgs,
    /// The file with limits [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    /// Print a JSON object: reference, digest, component, file, signature
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: PullArgs) -> anyhow::Result<()> {
    let config = Config::load(args.config.as_deref()).or_usage()?;
    let client = Client::new(args.registries.insecure(&config))?;
    let content = mirror::pull(&client, &args.reference, config.caps.plugin_size).await?;
    let out = args.out.unwrap_or_else(|| ".".into());
    std::fs::create_dir_all(&out).with_context(|| format!("cannot create {}", out.display()))?;
    let path = out.join(format!("{}.wasm", args.reference.name()));
    let signature = signature_path(&path);
    let write = || {
        if let Some(signatures) = &content.signatures {
            write_whole(&signature, signatures.as_bytes())?;
        }
        write_whole(&path, &content.pulled.component)
    };
    write().with_context(|| format!("cannot write {}", path.display()))?;
    let signed = content.signatures.is_some();
    output::status(&format!("Wrote {}{}", path.display(), if signed { " and its signatures" } else { "" }));
    if args.json {
        return output::object(&json!({
            "reference": args.reference.to_string(),
            "digest": content.pulled.digest,
            "component": format!("sha256:{}", sha256(&content.pulled.component)),
            "file": path.display().to_string(),
            "signature": signed.then(|| signature.display().to_string()),
        }));
    }
    output::data(&args.reference.with_digest(&content.pulled.digest).to_string())
}
