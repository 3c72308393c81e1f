//! `sealing open`: what is in an envelope, for somebody who has its key.

use std::io::Read as _;
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::keys::KeysArgs;
use crate::cli::database::{DatabaseArgs, explain};
use crate::cli::output;
use pgq_job::JobId;
use pgq_sealing::{Look, Purpose, look};

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).args(["id", "entrypoint"]))]
pub(super) struct OpenArgs {
    /// The job whose payload is to be opened
    id: Option<JobId>,
    /// Open its output, and not its payload
    #[arg(long, requires = "id")]
    output: bool,
    /// Open standard input, which was sealed for this entrypoint
    #[arg(long, value_name = "NAME")]
    entrypoint: Option<String>,
    /// Write to this file, and not to standard output
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    keys: KeysArgs,
}

pub(super) async fn run(database: &DatabaseArgs, args: &OpenArgs) -> anyhow::Result<()> {
    let keys = args.keys.read().await?;
    let (envelope, purpose, entrypoint) = match (args.id, &args.entrypoint) {
        (Some(id), _) => stored(database, id, args.output).await?,
        (None, entrypoint) => {
            let mut envelope = Vec::new();
            std::io::stdin().read_to_end(&mut envelope).context("cannot read standard input")?;
            (envelope, Purpose::Payload, entrypoint.clone().unwrap_or_default())
        }
    };
    // A pipe may have added a line break.
    let envelope = envelope.trim_ascii_end();
    let content = match look(envelope) {
        Look::Clear => bail!("it is not sealed"),
        Look::Broken(unopened) => return Err(unopened.into()),
        Look::Sealed(id) => match keys.keys.opens(&id) {
            Some(key) => key.open(envelope, purpose, &entrypoint)?,
            None => bail!("it is sealed with the key {id:?}, and there are {}", keys.keys.names()),
        },
    };
    match &args.out {
        Some(file) => std::fs::write(file, content).with_context(|| format!("cannot write {}", file.display())),
        None => output::raw(&content),
    }
}

/// What the database has of a job.
async fn stored(database: &DatabaseArgs, id: JobId, output: bool) -> anyhow::Result<(Vec<u8>, Purpose, String)> {
    let operator = database.operator().await?;
    let found = if output { operator.whole_output(id).await } else { operator.whole_payload(id).await };
    let what = if output { "output" } else { "payload" };
    match found.map_err(explain)? {
        Some((Some(content), entrypoint)) => {
            Ok((content, if output { Purpose::Output(id) } else { Purpose::Payload }, entrypoint))
        }
        Some((None, _)) => bail!("job {id} has no {what}"),
        None if output => bail!("there is no output of job {id}"),
        None => bail!("job {id} is not in the queue; payloads leave it with their jobs"),
    }
}
