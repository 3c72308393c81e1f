//! `sealing reseal`: payloads of jobs that wait or are held, sealed anew with the key that seals now.
//! An old key can be taken away once nothing is sealed with it.

use clap::Args;
use serde_json::json;

use super::keys::KeysArgs;
use super::resealing::{BATCH, Resealing, Tally};
use crate::cli::bulk::{self, ChosenArgs};
use crate::cli::database::{DatabaseArgs, explain};
use pgq_queue::{Contents, JobStatus};

#[derive(Debug, Args)]
pub(super) struct ResealArgs {
    #[command(flatten)]
    chosen: ChosenArgs,
    /// Seal payloads in clear as well
    #[arg(long)]
    clear_too: bool,
    #[command(flatten)]
    keys: KeysArgs,
    /// Print a JSON object: how many jobs matched, how many are sealed anew, how many were left
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(database: &DatabaseArgs, args: ResealArgs) -> anyhow::Result<()> {
    args.chosen.check("sealing reseal")?;
    let keys = args.keys.read().await?;
    let key = keys.seals(None)?;
    let operator = database.operator().await?;
    let chosen = args.chosen.choose(&operator, &[JobStatus::Queued, JobStatus::Failed], "sealing reseal").await?;
    let matched = chosen.ids.len();
    if matched == 0 {
        return bulk::report("Sealed anew", 0, 0, args.json);
    }
    let asked = json!({ "jobs": chosen.asked, "key": key.id() });
    let audit = operator.begin_audit("reseal", &args.chosen.actor.actor(), &asked).await.map_err(explain)?;
    let resealing =
        Resealing { operator: &operator, what: Contents::Payloads, keys: &keys, key, clear_too: args.clear_too };
    let mut tally = Tally::default();
    for ids in chosen.ids.chunks(BATCH) {
        let due = resealing.due(ids).await?;
        tally.fine += ids.len() - due.len();
        resealing.reseal(&due, audit, &mut tally).await?;
    }
    resealing.report(matched, &tally, args.json)
}
