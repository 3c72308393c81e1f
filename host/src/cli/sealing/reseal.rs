//! `sealing reseal`: payloads of jobs that wait or are held, sealed anew with the key that seals now.
//! An old key can be taken away once nothing is sealed with it.

use anyhow::bail;
use clap::Args;
use serde_json::json;

use super::keys::{KeysArgs, ReadKeys};
use crate::cli::bulk::{self, ChosenArgs};
use crate::cli::database::{DatabaseArgs, explain};
use crate::cli::output;
use pgq_job::JobId;
use pgq_queue::{AuditId, JobStatus, Operator, Replacement, StoredPayload};
use pgq_sealing::{Key, Look, MAX_HEADER_BYTES, Purpose, look};

/// Jobs whose headers are read at a time.
const BATCH: usize = 1_000;
/// Bytes of payloads that are read and written at a time, or one payload.
const MOST_BYTES: u64 = 8 << 20;

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

/// What became of the jobs.
#[derive(Debug, Default)]
struct Tally {
    resealed: usize,
    /// Sealed with this key already, or in clear, or gone.
    fine: usize,
    /// Claimed or changed meanwhile.
    busy: usize,
    /// With the reason.
    unopened: Vec<(JobId, String)>,
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
    let mut tally = Tally::default();
    for ids in chosen.ids.chunks(BATCH) {
        let most = i32::try_from(MAX_HEADER_BYTES + 1).unwrap_or(i32::MAX);
        let heads = operator.stored_payloads(ids, most).await.map_err(explain)?;
        let due: Vec<StoredPayload> = heads.into_iter().filter(|head| is_due(head, key, args.clear_too)).collect();
        tally.fine += ids.len() - due.len();
        for few in by_bytes(&due) {
            reseal(&operator, &few, &keys, key, audit, &mut tally).await?;
        }
    }
    if args.json {
        let unopened: Vec<_> = tally.unopened.iter().map(|(id, why)| json!({ "id": id, "error": why })).collect();
        output::object(
            &json!({ "matched": matched, "resealed": tally.resealed, "left": tally.fine, "busy": tally.busy, "unopened": unopened }),
        )?;
    } else {
        for (id, why) in &tally.unopened {
            output::printed_line(&format!("Job {id}: {why}"))?;
        }
    }
    output::status(&format!(
        "Sealed {} of {matched} job(s) anew with the key {:?}; {} needed nothing, {} were claimed or changed meanwhile.",
        tally.resealed,
        key.id(),
        tally.fine,
        tally.busy
    ));
    match tally.unopened.len() {
        0 => Ok(()),
        left => bail!("{left} job(s) could not be opened, and are as they were"),
    }
}

fn is_due(head: &StoredPayload, key: &Key, clear_too: bool) -> bool {
    match look(&head.payload) {
        Look::Sealed(id) => id != key.id(),
        // The whole payload tells what it is.
        Look::Clear | Look::Broken(_) => clear_too || head.payload.starts_with(b"eyJ"),
    }
}

/// The ids in groups whose payloads have so many bytes together.
fn by_bytes(payloads: &[StoredPayload]) -> Vec<Vec<JobId>> {
    let mut groups: Vec<Vec<JobId>> = Vec::new();
    let mut room = 0;
    for StoredPayload { id, bytes, .. } in payloads {
        match groups.last_mut() {
            Some(group) if *bytes <= room => group.push(*id),
            _ => {
                groups.push(vec![*id]);
                room = MOST_BYTES;
            }
        }
        room = room.saturating_sub(*bytes);
    }
    groups
}

async fn reseal(
    operator: &Operator,
    ids: &[JobId],
    keys: &ReadKeys,
    key: &Key,
    audit: AuditId,
    tally: &mut Tally,
) -> anyhow::Result<()> {
    let payloads = operator.stored_payloads(ids, i32::MAX).await.map_err(explain)?;
    tally.fine += ids.len() - payloads.len();
    let mut replacements = Vec::with_capacity(payloads.len());
    for StoredPayload { id, entrypoint, payload, .. } in payloads {
        let content = match look(&payload) {
            Look::Clear => Ok(payload.clone()),
            Look::Broken(unopened) => Err(unopened.to_string()),
            Look::Sealed(old) => match keys.keys.opens(&old) {
                Some(old) => old.open(&payload, Purpose::Payload, &entrypoint).map_err(|error| error.to_string()),
                None => Err(format!("it is sealed with the key {old:?}, and there are {}", keys.keys.names())),
            },
        };
        match content {
            Ok(content) => {
                let new = key.seal(&content, Purpose::Payload, &entrypoint)?;
                replacements.push(Replacement { id, old: payload, new });
            }
            Err(why) => tally.unopened.push((id, why)),
        }
    }
    let asked = replacements.len();
    let done = operator.replace_payloads(replacements, audit).await.map_err(explain)?.len();
    tally.resealed += done;
    tally.busy += asked - done;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_read_by_their_bytes_and_one_that_is_larger_alone() {
        let payload =
            |(id, bytes): (i64, u64)| StoredPayload { id, entrypoint: "e".into(), bytes, payload: Vec::new() };
        let payloads: Vec<_> =
            [(1, MOST_BYTES / 2), (2, MOST_BYTES / 2), (3, 1), (4, MOST_BYTES * 2), (5, 1)].map(payload).to_vec();
        assert_eq!(by_bytes(&payloads), [vec![1, 2], vec![3], vec![4], vec![5]]);
    }
}
