//! Tells the database whose signatures the served versions have, and the audit which files were
//! refused because of who signed them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use crate::plugins::{File, PluginSet};
use pgq_queue::told::Told as _;
use pgq_queue::{PluginVersion, Queue, Refusal};

/// Refusals that a host notes in an hour. Whoever can write to its folder could fill the audit.
const MOST_AN_HOUR: usize = 60;
const HOUR: Duration = Duration::from_secs(3_600);

/// What was noted, so that it is not written again.
pub struct Provenance {
    queue: Queue,
    versions: Vec<PluginVersion>,
    refusals: HashSet<Refusal>,
    budget: Budget,
}

impl Provenance {
    /// Nothing is noted yet.
    pub fn new(queue: Queue) -> Provenance {
        let budget = Budget { began: Instant::now(), spent: 0 };
        Provenance { queue, versions: Vec::new(), refusals: HashSet::new(), budget }
    }

    /// Note what is new. What cannot be written is written with the next announcement.
    pub async fn note(&mut self, set: &PluginSet, versions: &[PluginVersion]) {
        if let Err(error) = self.try_note(set, versions).await {
            tracing::debug!(error = %error.told(), "cannot note who signed the plugins; trying again with the next announcement");
        }
    }

    async fn try_note(&mut self, set: &PluginSet, versions: &[PluginVersion]) -> sqlx::Result<()> {
        let refusals: HashSet<Refusal> = set.files().iter().filter_map(refusal).collect();
        self.refusals.retain(|known| refusals.contains(known));
        let new: Vec<Refusal> = refusals.into_iter().filter(|refusal| !self.refusals.contains(refusal)).collect();
        let told = &new[..new.len().min(self.budget.left(Instant::now()))];
        if told.len() < new.len() {
            tracing::warn!(
                more = new.len() - told.len(),
                "files were refused because of who signed them, more than {MOST_AN_HOUR} in an hour; those that follow are in this log, and not in the audit"
            );
        }
        self.queue.note_refusals(told).await?;
        self.budget.spent += told.len();
        self.refusals.extend(new);
        if self.versions != versions {
            self.queue.note_signers(versions).await?;
            self.versions = versions.to_vec();
        }
        Ok(())
    }
}

fn refusal(file: &File) -> Option<Refusal> {
    let fault = file.fault.as_ref().filter(|fault| fault.is_about_signers())?;
    Some(Refusal {
        file: file.path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        sha256: file.sha256.clone()?,
        serving: file.serving.as_ref().map(|plugin| plugin.sha256.clone()),
        reason: fault.to_string(),
    })
}

/// How much of an hour's share is left.
#[derive(Debug)]
struct Budget {
    began: Instant,
    spent: usize,
}

impl Budget {
    /// How many may still be noted.
    fn left(&mut self, now: Instant) -> usize {
        if now.saturating_duration_since(self.began) >= HOUR {
            (self.began, self.spent) = (now, 0);
        }
        MOST_AN_HOUR.saturating_sub(self.spent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_has_its_share() {
        let began = Instant::now();
        let mut budget = Budget { began, spent: MOST_AN_HOUR - 1 };
        assert_eq!(budget.left(began), 1);
        budget.spent += 1;
        assert_eq!((budget.left(began + HOUR / 2), budget.left(began + HOUR)), (0, MOST_AN_HOUR));
    }
}
