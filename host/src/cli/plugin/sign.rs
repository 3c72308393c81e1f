//! `plugin sign`: signatures beside components, as cosign's `sign-blob` makes them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};

use crate::cli::output;
use crate::cli::usage::usage;
use crate::cli::workbench;
use crate::install::write_whole;
use crate::plugins::signature_path;
use pgq_trust::PrivateKey;

#[derive(Debug, Args)]
pub(super) struct SignArgs {
    /// The component files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The private key: PKCS#8 in PEM form, without a password
    #[arg(long, env = "PGQ_HOST_SIGNING_KEY", value_name = "FILE")]
    key: PathBuf,
    /// Where the signature of a single component goes [default: FILE.sig]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Keep the signatures of others that are there
    #[arg(long)]
    add: bool,
    /// Print a JSON array: file, signature, fingerprint
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &SignArgs) -> anyhow::Result<()> {
    if args.out.is_some() && args.files.len() > 1 {
        return Err(usage("--out names one file, and there are several components; leave it out"));
    }
    let key = read_key(&args.key)?;
    let fingerprint = key.public()?.fingerprint();
    let mut rows: Vec<Value> = Vec::new();
    for file in &args.files {
        let mut lines = key.sign(&workbench::read(file)?)? + "\n";
        let out = args.out.clone().unwrap_or_else(|| signature_path(file));
        if args.add
            && let Ok(there) = std::fs::read_to_string(&out)
        {
            lines = there.trim_end().to_owned() + "\n" + &lines;
        }
        write_whole(&out, lines.as_bytes()).with_context(|| format!("cannot write the signature {}", out.display()))?;
        output::status(&format!("Wrote {}", out.display()));
        rows.push(json!({
            "file": file.display().to_string(), "signature": out.display().to_string(), "fingerprint": fingerprint,
        }));
    }
    if args.json { output::json(&rows) } else { Ok(()) }
}

/// The private key in this file.
pub(super) fn read_key(path: &Path) -> anyhow::Result<PrivateKey> {
    let named = || format!("cannot use the key {}", path.display());
    let text = std::fs::read_to_string(path).with_context(named)?;
    PrivateKey::read(&text).with_context(named)
}
