//! What follows from how versions do, here and on other hosts: which are taken out of service, and which verdicts are told.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::version::Version;
use super::{RefusedCause, Shelf};
use crate::judgement::{Judgement, Judgements, Standing};

/// How often a canary is asked whether it has proved itself.
const CANARY_REVIEW: Duration = Duration::from_secs(1);
/// Two times of one pause, reckoned by two clocks.
const SAME: Duration = Duration::from_secs(5);

impl Shelf {
    /// Draw the consequences of how versions do: a canary that crashes goes, one that has proved itself takes over, a version that crashes
    /// makes room for the one before it, and a pause that is over ends. Says whether anything changed, and when to ask again at the latest.
    pub fn review(&mut self) -> (bool, Option<Instant>) {
        let mut changed = false;
        let mut next: Option<Instant> = None;
        let (mut gone, mut stuck, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (path, slot) in &mut self.slots {
            let (failed, moved) = slot.review_canary();
            let rolled_back = slot.roll_back();
            changed |= moved | rolled_back.is_some();
            gone.extend(failed.into_iter().chain(rolled_back));
            if slot.canary.is_some() {
                next = Some(Instant::now() + CANARY_REVIEW);
            }
            let Some(serving) = &slot.serving else { continue };
            let sha256 = &serving.loaded.sha256;
            for (entrypoint, health) in &serving.health {
                if let Some(until) = health.open_until() {
                    if until <= Instant::now() {
                        health.try_again();
                    } else {
                        next = Some(next.unwrap_or(until).min(until));
                        if self.known.judgements.paused(sha256, entrypoint).is_none_or(|known| known + SAME < until) {
                            found.push(paused(serving, entrypoint, until));
                        }
                    }
                    // Paused now, or served again.
                    changed = true;
                }
            }
            let crashing = serving.crashing().is_some();
            if crashing && slot.back.is_none() && slot.no_way_back.as_ref() != Some(sha256) && self.known.kept.is_some() {
                stuck.push((path.clone(), sha256.clone()));
            } else if !crashing && serving.runs() >= self.rule.window && !self.known.judgements.is_good(sha256) {
                found.push(judgement(serving, None, Standing::Good, format!("{} runs, and no circuit breaker open", serving.runs())));
            }
        }
        found.extend(gone.iter().filter_map(rolled_back));
        found.into_iter().for_each(|judgement| self.judge(judgement));
        stuck.iter().for_each(|(path, sha256)| self.look_back(path, sha256));
        (changed, next)
    }

    fn judge(&mut self, mut judgement: Judgement) {
        judgement.rules = self.known.rules.to_string();
        Arc::make_mut(&mut self.known.judgements).add(judgement.clone());
        self.found.push(judgement);
    }

    /// A file that no host of these rules will ever serve.
    pub(super) fn judge_refusal(&mut self, path: &Path, cause: &RefusedCause) {
        let sha256 = self.slots.get(path).and_then(|slot| slot.sha256.clone());
        if let (RefusedCause::Load(error), Some(sha256)) = (cause, sha256)
            && error.is_in_the_bytes()
        {
            self.judge(Judgement {
                sha256,
                plugin: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
                version: None,
                entrypoint: None,
                standing: Standing::Refused,
                reason: error.to_string(),
                rules: String::new(),
                host: HERE.into(),
            });
        }
    }

    /// Verdicts that were found out since the last call.
    pub fn take_found(&mut self) -> Vec<Judgement> {
        std::mem::take(&mut self.found)
    }

    /// What all hosts know by now. A version that another one took out of service goes here as well, and what was forgotten is tried again.
    /// Says whether anything changed.
    pub fn adopt(&mut self, judgements: Arc<Judgements>) -> bool {
        self.known.judgements = Arc::clone(&judgements);
        let (mut changed, mut back) = (false, Vec::new());
        for (path, slot) in &mut self.slots {
            let against = |version: &Version| {
                let known = judgements.against(&version.loaded.sha256, &self.known.rules);
                known.filter(|known| known.standing == Standing::RolledBack).cloned()
            };
            if slot.previous.as_ref().is_some_and(|version| against(version).is_some()) {
                slot.previous = None;
            }
            if let Some(judgement) = slot.canary.as_ref().and_then(|(_, version)| against(version)) {
                (slot.canary, slot.fault) = (None, Some(RefusedCause::Judged(Box::new(judgement))));
                changed = true;
            }
            if let Some(judgement) = slot.serving.as_ref().and_then(against) {
                if slot.previous.is_none() {
                    back.push((path.clone(), judgement.sha256.clone()));
                }
                (slot.serving, slot.fault) = (slot.previous.take(), Some(RefusedCause::Judged(Box::new(judgement))));
                changed = true;
            }
            if let Some(serving) = &slot.serving {
                for (entrypoint, health) in &serving.health {
                    let until = judgements.paused(&serving.loaded.sha256, entrypoint);
                    changed |= until.is_some_and(|until| health.pause(until));
                }
            }
            let forgotten = |judged: &Judgement| judgements.against(&judged.sha256, &self.known.rules).is_none();
            if matches!(&slot.fault, Some(RefusedCause::Judged(judged)) if forgotten(judged)) && slot.loading.is_none() {
                slot.forget();
            }
        }
        back.iter().for_each(|(path, sha256)| self.look_back(path, sha256));
        changed
    }

    /// An operator says that a plugin, an entrypoint or a file is to be tried again.
    pub fn reset(&mut self, name: &str) -> bool {
        Arc::make_mut(&mut self.known.judgements).forget(name);
        let mut found = false;
        for (path, slot) in &mut self.slots {
            let versions = slot.serving.iter().chain(slot.canary.iter().map(|(_, version)| version)).chain(&slot.previous);
            let mut mine = path.file_stem().is_some_and(|stem| stem == name);
            for version in versions {
                let whole = *version.loaded.name == *name;
                for (_, health) in version.health.iter().filter(|(entrypoint, _)| whole || *entrypoint == name) {
                    health.reset();
                    mine = true;
                }
            }
            let judged = |judgement: &Judgement| judgement.plugin == name || judgement.entrypoint.as_deref() == Some(name);
            mine |= matches!(&slot.fault, Some(RefusedCause::Judged(judgement)) if judged(judgement));
            if mine && slot.fault.as_ref().is_some_and(RefusedCause::is_of_a_version) {
                // The content that was taken out of service is looked at again.
                slot.forget();
            }
            if mine {
                slot.no_way_back = None;
            }
            found |= mine;
        }
        found
    }
}

/// For verdicts of this host's own, until it reads them again.
const HERE: &str = "this host";

fn judgement(version: &Version, entrypoint: Option<&str>, standing: Standing, reason: String) -> Judgement {
    Judgement {
        sha256: version.loaded.sha256.clone(),
        plugin: version.loaded.name.to_string(),
        version: Some(version.loaded.version.clone()),
        entrypoint: entrypoint.map(str::to_owned),
        standing,
        reason,
        rules: String::new(),
        host: HERE.into(),
    }
}

fn paused(version: &Version, entrypoint: &str, until: Instant) -> Judgement {
    let (crashes, runs) = version.health.get(entrypoint).map(|health| health.crashes()).unwrap_or_default();
    judgement(version, Some(entrypoint), Standing::Paused(until), format!("{crashes} of its last {runs} runs crashed"))
}

fn rolled_back(version: &Version) -> Option<Judgement> {
    let RefusedCause::Crashing { entrypoint, crashes, runs, .. } = version.crashing()? else { return None };
    let reason = format!("{crashes} of its last {runs} runs of {entrypoint:?} crashed");
    Some(judgement(version, Some(&entrypoint), Standing::RolledBack, reason))
}
