//! `sealing reseal-outputs`: what jobs returned, sealed anew with the key that seals now. Most of those
//! jobs are gone, so all outputs are walked through.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::keys::KeysArgs;
use super::resealing::{BATCH, Resealing, Tally};
use crate::cli::bulk::{self, ActorArgs};
use crate::cli::database::{DatabaseArgs, explain};
use crate::cli::output;
use crate::cli::usage::usage;
use pgq_job::JobId;
use pgq_queue::{AuditId, Contents};

/// Outputs between two lines that say how far it is.
const SAY: usize = 100_000;

#[derive(Debug, Args)]
pub(super) struct ResealOutputsArgs {
    /// The jobs whose outputs; or all
    #[arg(value_name = "IDS")]
    ids: Vec<JobId>,
    /// Outputs of this entrypoint
    #[arg(long, value_name = "NAME", conflicts_with = "ids")]
    entrypoint: Option<String>,
    /// All outputs
    #[arg(long, conflicts_with_all = ["ids", "entrypoint"])]
    all: bool,
    /// Seal outputs in clear as well
    #[arg(long)]
    clear_too: bool,
    /// Do it; without it, outputs that need it are counted
    #[arg(short, long)]
    yes: bool,
    #[command(flatten)]
    keys: KeysArgs,
    #[command(flatten)]
    actor: ActorArgs,
    /// Print a JSON object: how many outputs were looked at, how many are sealed anew, how many were left
    #[arg(long)]
    json: bool,
}

/// Where the outputs come from.
enum Walk<'a> {
    Named(std::slice::Chunks<'a, JobId>),
    All { after: JobId },
}

pub(super) async fn run(database: &DatabaseArgs, args: ResealOutputsArgs) -> anyhow::Result<()> {
    if args.ids.is_empty() && args.entrypoint.is_none() && !args.all {
        return Err(usage(
            "sealing reseal-outputs of what? Name jobs by their ids, or an entrypoint by --entrypoint, or pass --all",
        ));
    }
    let keys = args.keys.read().await?;
    let key = keys.seals(None)?;
    let operator = database.operator().await?;
    let resealing =
        Resealing { operator: &operator, what: Contents::Outputs, keys: &keys, key, clear_too: args.clear_too };
    let jobs = match &args.entrypoint {
        Some(entrypoint) => json!({ "entrypoint": entrypoint }),
        None if args.all => json!({}),
        None => bulk::named(&args.ids),
    };
    let asked = json!({ "jobs": jobs, "key": key.id() });
    let audit = match args.yes {
        true => operator.begin_audit("reseal_outputs", &args.actor.actor(), &asked).await.map_err(explain)?,
        false => AuditId::default(),
    };
    let mut walk = match args.ids.is_empty() {
        true => Walk::All { after: JobId::MIN },
        false => Walk::Named(args.ids.chunks(BATCH)),
    };
    let (mut tally, mut looked, mut found, mut said) = (Tally::default(), 0, 0, 0);
    while let Some(ids) = walk.next(&resealing).await? {
        let mut due = resealing.due(&ids).await?;
        if let Some(entrypoint) = &args.entrypoint {
            due.retain(|stored| stored.entrypoint == *entrypoint);
        }
        looked += ids.len();
        found += due.len();
        tally.fine += ids.len() - due.len();
        if args.yes {
            resealing.reseal(&due, audit, &mut tally).await?;
        }
        if looked - said >= SAY {
            said = looked;
            output::status(&format!("Looked at {looked} outputs, sealed {} anew.", tally.resealed));
        }
    }
    if !args.yes && found > 0 {
        bail!("{found} of {looked} output(s) match, and nothing was done: `sealing reseal-outputs --yes` does it");
    }
    resealing.report(looked, &tally, args.json)
}

impl Walk<'_> {
    async fn next(&mut self, resealing: &Resealing<'_>) -> anyhow::Result<Option<Vec<JobId>>> {
        match self {
            Walk::Named(chunks) => Ok(chunks.next().map(<[JobId]>::to_vec)),
            Walk::All { after } => {
                let limit = i64::try_from(BATCH).unwrap_or(i64::MAX);
                let ids = resealing.operator.outputs_after(*after, limit).await.map_err(explain)?;
                *after = ids.last().copied().unwrap_or(*after);
                Ok((!ids.is_empty()).then_some(ids))
            }
        }
    }
}
