//! Judges how versions do, here and on other hosts: which are taken out of service, and which
//! judgements other hosts should know.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::version::Version;
use super::{RefusedCause, Rollouts};
use pgq_job::judgement::{Judgement, Judgements, Standing};

/// How often the runs of a canary are counted.
const CANARY_REVIEW: Duration = Duration::from_secs(1);
/// Two hosts compute the end of one pause with two clocks. Ends this close together are the same
/// pause.
const SAME: Duration = Duration::from_secs(5);

impl Rollouts {
    /// Act on how versions do. A canary that crashes is removed, and one that has run often enough
    /// is promoted. A version that crashes is replaced by the one before it. A pause that is over
    /// ends. Returns whether anything changed, and when to review again at the latest.
    pub fn review(&mut self) -> (bool, Option<Instant>) {
        let mut changed = false;
        let mut next: Option<Instant> = None;
        let (mut gone, mut stuck, mut found) = (Vec::new(), Vec::new(), Vec::new());
        for (path, rollout) in &mut self.by_file {
            let (failed, moved) = rollout.review_canary();
            let rolled_back = rollout.roll_back();
            changed |= moved | rolled_back.is_some();
            gone.extend(failed.into_iter().chain(rolled_back));
            if rollout.canary.is_some() {
                next = Some(Instant::now() + CANARY_REVIEW);
            }
            let Some(serving) = &rollout.serving else { continue };
            let sha256 = &serving.loaded.sha256;
            for (entrypoint, breaker) in &serving.breakers {
                if let Some(until) = breaker.open_until() {
                    if until <= Instant::now() {
                        breaker.half_open();
                    } else {
                        next = Some(next.unwrap_or(until).min(until));
                        if self.known.judgements.paused(sha256, entrypoint).is_none_or(|known| known + SAME < until) {
                            found.push(paused(serving, entrypoint, until));
                        }
                    }
                    // Either it is newly paused, or it is served again.
                    changed = true;
                }
            }
            let crashing = serving.crashing().is_some();
            if crashing
                && rollout.loading_previous.is_none()
                && rollout.no_previous.as_ref() != Some(sha256)
                && self.known.kept.is_some()
            {
                stuck.push((path.clone(), sha256.clone()));
            } else if !crashing && serving.runs() >= self.rule.window && !self.known.judgements.is_good(sha256) {
                found.push(judgement(
                    serving,
                    None,
                    Standing::Good,
                    format!("{} runs, and no circuit breaker is open", serving.runs()),
                ));
            }
        }
        found.extend(gone.iter().filter_map(rolled_back));
        found.into_iter().for_each(|judgement| self.judge(judgement));
        stuck.iter().for_each(|(path, sha256)| self.load_previous(path, sha256));
        (changed, next)
    }

    fn judge(&mut self, mut judgement: Judgement) {
        judgement.rules = self.known.rules.to_string();
        Arc::make_mut(&mut self.known.judgements).add(judgement.clone());
        self.new_judgements.push(judgement);
    }

    /// Record that the bytes of this file are bad, so that no host with the same rules tries them.
    pub(super) fn judge_refusal(&mut self, path: &Path, cause: &RefusedCause) {
        let sha256 = self.by_file.get(path).and_then(|rollout| rollout.sha256.clone());
        if let (RefusedCause::Load(error), Some(sha256)) = (cause, sha256)
            && error.is_in_file()
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

    /// Judgements made since the last call.
    pub fn take_judgements(&mut self) -> Vec<Judgement> {
        std::mem::take(&mut self.new_judgements)
    }

    /// Adopt what all hosts know by now. A version that another host took out of service is removed
    /// here as well, and a version whose judgement was withdrawn is tried again. Returns whether
    /// anything changed.
    pub fn adopt(&mut self, judgements: Arc<Judgements>) -> bool {
        self.known.judgements = Arc::clone(&judgements);
        let (mut changed, mut rolled_back_here) = (false, Vec::new());
        for (path, rollout) in &mut self.by_file {
            let against = |version: &Version| {
                let known = judgements.against(&version.loaded.sha256, &self.known.rules);
                known.filter(|known| known.standing == Standing::RolledBack).cloned()
            };
            if rollout.previous.as_ref().is_some_and(|version| against(version).is_some()) {
                rollout.previous = None;
            }
            if let Some(judgement) = rollout.blocked.as_ref().and_then(against) {
                (rollout.blocked, rollout.fault) = (None, Some(RefusedCause::Judged(Box::new(judgement))));
            }
            if let Some(judgement) = rollout.canary.as_ref().and_then(|(_, version)| against(version)) {
                (rollout.canary, rollout.fault) = (None, Some(RefusedCause::Judged(Box::new(judgement))));
                changed = true;
            }
            if let Some(judgement) = rollout.serving.as_ref().and_then(against) {
                if rollout.previous.is_none() {
                    rolled_back_here.push((path.clone(), judgement.sha256.clone()));
                }
                (rollout.serving, rollout.fault) =
                    (rollout.previous.take(), Some(RefusedCause::Judged(Box::new(judgement))));
                changed = true;
            }
            if let Some(serving) = &rollout.serving {
                for (entrypoint, breaker) in &serving.breakers {
                    let until = judgements.paused(&serving.loaded.sha256, entrypoint);
                    changed |= until.is_some_and(|until| breaker.pause(until));
                }
            }
            let forgotten = |judged: &Judgement| judgements.against(&judged.sha256, &self.known.rules).is_none();
            if matches!(&rollout.fault, Some(RefusedCause::Judged(judged)) if forgotten(judged))
                && rollout.loading.is_none()
            {
                rollout.forget();
            }
        }
        rolled_back_here.iter().for_each(|(path, sha256)| self.load_previous(path, sha256));
        changed
    }

    /// Reset a plugin, an entrypoint or a file at the operator's request. Returns whether it was
    /// found.
    pub fn reset(&mut self, name: &str) -> bool {
        Arc::make_mut(&mut self.known.judgements).forget(name);
        let mut found = false;
        for (path, rollout) in &mut self.by_file {
            let versions = rollout
                .serving
                .iter()
                .chain(rollout.canary.iter().map(|(_, version)| version))
                .chain(&rollout.previous);
            let mut mine = path.file_stem().is_some_and(|stem| stem == name);
            for version in versions {
                let whole = *version.loaded.name == *name;
                for (_, breaker) in version.breakers.iter().filter(|(entrypoint, _)| whole || *entrypoint == name) {
                    breaker.reset();
                    mine = true;
                }
            }
            let judged =
                |judgement: &Judgement| judgement.plugin == name || judgement.entrypoint.as_deref() == Some(name);
            mine |= matches!(&rollout.fault, Some(RefusedCause::Judged(judgement)) if judged(judgement));
            if mine && rollout.fault.as_ref().is_some_and(RefusedCause::is_about_version) {
                // Load the content that was taken out of service again.
                rollout.forget();
            }
            if mine {
                rollout.no_previous = None;
            }
            found |= mine;
        }
        found
    }
}

/// The `host` of this host's own judgements until they are read back from the database.
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
    let (crashes, runs) = version.breakers.get(entrypoint).map(|breaker| breaker.crashes()).unwrap_or_default();
    judgement(version, Some(entrypoint), Standing::Paused(until), format!("{crashes} of its last {runs} runs crashed"))
}

fn rolled_back(version: &Version) -> Option<Judgement> {
    let RefusedCause::Crashing { entrypoint, crashes, runs, .. } = version.crashing()? else { return None };
    let reason = format!("{crashes} of its last {runs} runs of {entrypoint:?} crashed");
    Some(judgement(version, Some(&entrypoint), Standing::RolledBack, reason))
}
