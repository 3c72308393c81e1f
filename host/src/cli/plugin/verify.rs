//! `plugin verify`: who signed components. Nothing of them is compiled or run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::{Value, json};

use crate::cli::output;
use crate::cli::usage::{OrUsage as _, usage};
use crate::cli::workbench;
use crate::config::Config;
use pgq_engine::digest::sha256;
use pgq_engine::printable::printable;
use pgq_job::Signer;
use pgq_trust::{PublicKey, Trust, Untrusted};

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// The component files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Ask for this public key alone, instead of those under [trust.keys]
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// The file with [trust] [default: pgq-host.toml, if it exists]
    #[arg(long, env = "PGQ_HOST_CONFIG")]
    config: Option<PathBuf>,
    #[arg(long, help = "Print a JSON array: file, sha256, signed_by, error")]
    json: bool,
}

pub(super) fn run(args: &VerifyArgs) -> anyhow::Result<()> {
    let trust = args.trust()?;
    let (mut rows, mut refused) = (Vec::new(), 0);
    for file in &args.files {
        let bytes = workbench::read(file)?;
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let found = trust.signers(&name, &bytes, workbench::read_signature(file)?.as_deref());
        refused += usize::from(found.is_err());
        rows.push((file, sha256(&bytes), found));
    }
    if args.json {
        output::json(&rows.iter().map(|(file, sha256, found)| row(file, sha256, found)).collect::<Vec<_>>())?;
    } else {
        let lines: Vec<String> = rows.iter().map(|(file, _, found)| line(file, found)).collect();
        output::data(&lines.join("\n"))?;
    }
    match refused {
        0 => Ok(()),
        refused => bail!("{refused} of {} files are not signed by a key that is trusted here", rows.len()),
    }
}

impl VerifyArgs {
    fn trust(&self) -> anyhow::Result<Trust> {
        if let Some(path) = &self.key {
            let text =
                std::fs::read_to_string(path).with_context(|| format!("cannot read the key {}", path.display()))?;
            let key = PublicKey::read(&text).with_context(|| format!("cannot use the key {}", path.display()))?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            return Ok(Trust { keys: [(name, key)].into(), ..Trust::default() });
        }
        let config = Config::load(self.config.as_deref()).or_usage()?;
        let Some(trust) = config.trust else {
            return Err(usage(
                "there is no [trust] in the configuration; name a public key with --key, or the file with --config",
            ));
        };
        // Whether a file may be unsigned is another question.
        let keys = Arc::unwrap_or_clone(trust).keys;
        Ok(Trust { keys, ..Trust::default() })
    }
}

fn line(file: &Path, found: &Result<Vec<Signer>, Untrusted>) -> String {
    let said = match found {
        Ok(signers) => {
            format!("signed by {}", signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))
        }
        Err(error) => format!("refused: {error}"),
    };
    format!("{}: {}", printable(&file.display().to_string()), printable(&said))
}

fn row(file: &Path, sha256: &str, found: &Result<Vec<Signer>, Untrusted>) -> Value {
    let signer = |signer: &Signer| json!({ "key": signer.key, "fingerprint": signer.fingerprint });
    json!({
        "file": file.display().to_string(),
        "sha256": sha256,
        "signed_by": found.as_ref().map(|signers| signers.iter().map(signer).collect::<Vec<_>>()).unwrap_or_default(),
        "error": found.as_ref().err().map(ToString::to_string),
    })
}
