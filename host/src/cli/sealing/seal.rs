//! `sealing seal`: standard input as an envelope.

use std::io::Read as _;

use anyhow::Context as _;
use clap::Args;

use super::keys::KeysArgs;
use crate::cli::output;
use pgq_job::NewJob;
use pgq_sealing::Purpose;
use zeroize::Zeroizing;

#[derive(Debug, Args)]
pub(super) struct SealArgs {
    /// The entrypoint of the job that it is for
    #[arg(long, value_name = "NAME", value_parser = entrypoint)]
    entrypoint: String,
    /// The id of the key [default: seal-with of [sealing], else the first that may seal]
    #[arg(long, value_name = "ID")]
    key: Option<String>,
    #[command(flatten)]
    keys: KeysArgs,
}

fn entrypoint(name: &str) -> Result<String, String> {
    NewJob::check_entrypoint(name).map(|()| name.to_owned())
}

pub(super) async fn run(args: &SealArgs) -> anyhow::Result<()> {
    let keys = args.keys.read().await?;
    let key = keys.seals(args.key.as_deref())?;
    let mut content = Zeroizing::new(Vec::new());
    std::io::stdin().read_to_end(&mut content).context("cannot read standard input")?;
    output::raw(&key.seal(&content, Purpose::Payload, &args.entrypoint)?)
}
