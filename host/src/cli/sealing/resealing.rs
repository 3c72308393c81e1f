//! Payloads or outputs that are sealed anew, in portions.

use anyhow::bail;
use serde_json::{Value, json};

use super::keys::ReadKeys;
use crate::cli::database::explain;
use crate::cli::output;
use pgq_job::JobId;
use pgq_queue::{AuditId, Contents, Operator, Replacement, Stored};
use pgq_sealing::{Key, Look, MAX_HEADER_BYTES, Purpose, look};

/// Jobs whose headers are read at a time.
pub(super) const BATCH: usize = 1_000;
/// Bytes that are read and written at a time, or one content.
const MOST_BYTES: u64 = 8 << 20;

/// How something is sealed anew.
pub(super) struct Resealing<'a> {
    pub(super) operator: &'a Operator,
    pub(super) what: Contents,
    pub(super) keys: &'a ReadKeys,
    pub(super) key: &'a Key,
    /// What is in clear as well.
    pub(super) clear_too: bool,
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) resealed: usize,
    /// Sealed with this key already, or in clear, or gone.
    pub(super) fine: usize,
    /// Claimed or changed meanwhile.
    pub(super) busy: usize,
    /// With the reason.
    pub(super) unopened: Vec<(JobId, String)>,
}

impl Resealing<'_> {
    /// Those of these jobs, a batch at most, that have something to seal anew.
    pub(super) async fn due(&self, ids: &[JobId]) -> anyhow::Result<Vec<Stored>> {
        let most = i32::try_from(MAX_HEADER_BYTES + 1).unwrap_or(i32::MAX);
        let mut heads = self.operator.stored(self.what, ids, most).await.map_err(explain)?;
        heads.retain(|head| self.is_due(head));
        Ok(heads)
    }

    fn is_due(&self, head: &Stored) -> bool {
        match look(&head.content) {
            Look::Sealed(id) => id != self.key.id(),
            // The whole content tells what it is.
            Look::Clear | Look::Broken(_) => self.clear_too || head.content.starts_with(b"eyJ"),
        }
    }

    /// Seal these anew.
    pub(super) async fn reseal(&self, due: &[Stored], audit: AuditId, tally: &mut Tally) -> anyhow::Result<()> {
        for few in by_bytes(due) {
            let contents = self.operator.stored(self.what, &few, i32::MAX).await.map_err(explain)?;
            tally.fine += few.len() - contents.len();
            let mut replacements = Vec::with_capacity(contents.len());
            for stored in contents {
                match self.sealed_anew(&stored)? {
                    Ok(Some(new)) => replacements.push(Replacement { id: stored.id, old: stored.content, new }),
                    Ok(None) => tally.fine += 1,
                    Err(why) => tally.unopened.push((stored.id, why)),
                }
            }
            let asked = replacements.len();
            let done = self.operator.replace(self.what, replacements, audit).await.map_err(explain)?.len();
            tally.resealed += done;
            tally.busy += asked - done;
        }
        Ok(())
    }

    /// Say what became of all of it; an error where something could not be opened.
    pub(super) fn report(&self, looked: usize, tally: &Tally, as_json: bool) -> anyhow::Result<()> {
        let (field, noun, busy) = match self.what {
            Contents::Payloads => ("matched", "job", "claimed or changed"),
            Contents::Outputs => ("looked_at", "output", "removed"),
        };
        if as_json {
            let unopened: Value = tally.unopened.iter().map(|(id, why)| json!({ "id": id, "error": why })).collect();
            output::object(&json!({
                field: looked, "resealed": tally.resealed, "left": tally.fine, "busy": tally.busy, "unopened": unopened,
            }))?;
        } else {
            for (id, why) in &tally.unopened {
                output::printed_line(&format!("Job {id}: {why}"))?;
            }
        }
        output::status(&format!(
            "Sealed {} of {looked} {noun}(s) anew with the key {:?}; {} needed nothing, {} were {busy} meanwhile.",
            tally.resealed,
            self.key.id(),
            tally.fine,
            tally.busy
        ));
        match tally.unopened.len() {
            0 => Ok(()),
            left => bail!("{left} {noun}(s) could not be opened, and are as they were"),
        }
    }

    /// The same content in a new envelope; nothing where it is to stay in clear; or why it cannot be opened.
    fn sealed_anew(&self, stored: &Stored) -> anyhow::Result<Result<Option<Vec<u8>>, String>> {
        let purpose = match self.what {
            Contents::Payloads => Purpose::Payload,
            Contents::Outputs => Purpose::Output(stored.id),
        };
        let Stored { entrypoint, content, .. } = stored;
        let opened = match look(content) {
            Look::Clear if !self.clear_too => return Ok(Ok(None)),
            Look::Clear => Ok(content.clone()),
            Look::Broken(unopened) => Err(unopened.to_string()),
            Look::Sealed(old) => match self.keys.keys.opens(&old) {
                Some(old) => old.open(content, purpose, entrypoint).map_err(|error| error.to_string()),
                None => Err(format!("it is sealed with the key {old:?}, and there are {}", self.keys.keys.names())),
            },
        };
        match opened {
            Ok(opened) => Ok(Ok(Some(self.key.seal(&opened, purpose, entrypoint)?))),
            Err(why) => Ok(Err(why)),
        }
    }
}

/// The ids in groups whose contents have so many bytes together.
fn by_bytes(due: &[Stored]) -> Vec<Vec<JobId>> {
    let mut groups: Vec<Vec<JobId>> = Vec::new();
    let mut room = 0;
    for Stored { id, bytes, .. } in due {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_read_by_their_bytes_and_one_that_is_larger_alone() {
        let stored = |(id, bytes): (i64, u64)| Stored { id, entrypoint: "e".into(), bytes, content: Vec::new() };
        let all: Vec<_> =
            [(1, MOST_BYTES / 2), (2, MOST_BYTES / 2), (3, 1), (4, MOST_BYTES * 2), (5, 1)].map(stored).to_vec();
        assert_eq!(by_bytes(&all), [vec![1, 2], vec![3], vec![4], vec![5]]);
    }
}
