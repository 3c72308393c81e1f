//! `plugin keygen`: a pair of keys to sign plugins with.

use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::json;

use crate::cli::output;
use pgq_trust::{Algorithm, PrivateKey};

#[derive(Debug, Args)]
pub(super) struct KeygenArgs {
    /// The name of the files: NAME.key, which signs and stays secret, and NAME.pub
    #[arg(default_value = "pgq-host")]
    name: PathBuf,
    /// The kind of key; cosign verifies both
    #[arg(long, value_enum, default_value = "ecdsa-p256")]
    algorithm: Kind,
    /// Print a JSON object: private, public, fingerprint
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    EcdsaP256,
    Ed25519,
}

pub(super) fn run(args: &KeygenArgs) -> anyhow::Result<()> {
    let algorithm = match args.algorithm {
        Kind::EcdsaP256 => Algorithm::EcdsaP256,
        Kind::Ed25519 => Algorithm::Ed25519,
    };
    let pem = PrivateKey::generate(algorithm)?;
    let public = PrivateKey::read(&pem)?.public()?;
    let with = |extension: &str| {
        let mut path = args.name.clone().into_os_string();
        path.push(extension);
        PathBuf::from(path)
    };
    let (private_path, public_path) = (with(".key"), with(".pub"));
    write(&private_path, 0o600, &pem)?;
    write(&public_path, 0o644, &public.pem())?;
    let fingerprint = public.fingerprint();
    output::status(&format!(
        "Wrote {} (keep it secret; whoever has it can sign) and {} (name it under [trust.keys] in pgq-host.toml).",
        private_path.display(),
        public_path.display()
    ));
    if args.json {
        return output::object(&json!({
            "private": private_path.display().to_string(),
            "public": public_path.display().to_string(),
            "fingerprint": fingerprint,
        }));
    }
    output::data(&fingerprint)
}

/// A key that is there is never overwritten: what it signed could not be signed again.
fn write(path: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let write =
        || std::fs::File::options().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes());
    write().with_context(|| format!("cannot write {}; remove it, or choose another name", path.display()))
}
