//! Judgements on versions of plugins, shared by all hosts and kept for their next start. Plain
//! data.

use std::collections::HashMap;
use std::time::Instant;

/// Stands in the place of the rules of a judgement that an operator made: the version is not to be
/// served. Hosts of earlier releases take it for a roll-back.
pub const QUARANTINE: &str = "quarantine";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has run for a while without opening a circuit breaker.
    Good,
    /// A host found that the file can never be loaded, because of its content.
    Refused,
    /// Its runs crashed, and the previous version took over.
    RolledBack,
    /// The runs of one entrypoint crash. It is not claimed until this time.
    Paused(Instant),
}

impl Standing {
    /// The label in the database.
    pub fn label(self) -> &'static str {
        match self {
            Standing::Good => "good",
            Standing::Refused => "refused",
            Standing::RolledBack => "rolled_back",
            Standing::Paused(_) => "paused",
        }
    }
}

/// A judgement on one version, identified by its digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub sha256: String,
    /// The plugin's name, or the file's if it never declared one.
    pub plugin: String,
    /// The declared version, if there was one.
    pub version: Option<String>,
    /// The entrypoint that crashes.
    pub entrypoint: Option<String>,
    pub standing: Standing,
    pub reason: String,
    /// Identifies the host's build and settings. A refusal only applies to hosts with the same
    /// rules.
    pub rules: String,
    /// The host that made the judgement.
    pub host: String,
}

impl Judgement {
    /// What the judgement is about: the version, or one entrypoint of it. There is one judgement
    /// per subject.
    pub fn subject(&self) -> String {
        match (&self.standing, &self.entrypoint) {
            (Standing::Paused(_), Some(entrypoint)) => format!("{}/{entrypoint}", self.sha256),
            _ => self.sha256.clone(),
        }
    }

    /// Whether an operator made it, who alone takes it back.
    pub fn is_quarantine(&self) -> bool {
        self.standing == Standing::RolledBack && self.rules == QUARANTINE
    }

    /// Whether it replaces a known judgement on the same subject. A version that was rolled back
    /// does not become good again by running well.
    pub fn outweighs(&self, known: &Judgement) -> bool {
        if known.is_quarantine() {
            return self.is_quarantine();
        }
        self.standing != Standing::Good || known.standing == Standing::Good
    }
}

/// All known judgements.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgements(HashMap<String, Judgement>);

impl Judgements {
    pub fn add(&mut self, judgement: Judgement) {
        let subject = judgement.subject();
        if self.0.get(&subject).is_none_or(|known| judgement.outweighs(known)) {
            self.0.insert(subject, judgement);
        }
    }

    /// Forget the judgements on this plugin or entrypoint, at an operator's request. A quarantine
    /// stays: it is lifted for its version alone.
    pub fn forget(&mut self, name: &str) {
        self.0.retain(|_, known| {
            known.is_quarantine() || known.plugin != name && known.entrypoint.as_deref() != Some(name)
        });
    }

    /// Why a host with these rules must not serve this version.
    pub fn against(&self, sha256: &str, rules: &str) -> Option<&Judgement> {
        self.0.get(sha256).filter(|known| match known.standing {
            Standing::RolledBack => true,
            Standing::Refused => known.rules == rules,
            Standing::Good | Standing::Paused(_) => false,
        })
    }

    /// Whether the version was judged to be good.
    pub fn is_good(&self, sha256: &str) -> bool {
        self.0.get(sha256).is_some_and(|known| known.standing == Standing::Good)
    }

    /// Until when this entrypoint of this version is paused.
    pub fn paused(&self, sha256: &str, entrypoint: &str) -> Option<Instant> {
        match self.0.get(&format!("{sha256}/{entrypoint}"))?.standing {
            Standing::Paused(until) => Some(until).filter(|until| *until > Instant::now()),
            _ => None,
        }
    }
}

impl FromIterator<Judgement> for Judgements {
    fn from_iter<I: IntoIterator<Item = Judgement>>(all: I) -> Judgements {
        let mut judgements = Judgements::default();
        all.into_iter().for_each(|judgement| judgements.add(judgement));
        judgements
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judgement(standing: Standing) -> Judgement {
        Judgement {
            sha256: "ab".into(),
            plugin: "job".into(),
            version: None,
            entrypoint: Some("work".into()),
            standing,
            reason: String::new(),
            rules: "these".into(),
            host: String::new(),
        }
    }

    #[test]
    fn a_refusal_holds_for_hosts_of_the_same_rules_and_a_roll_back_for_all() {
        let refused: Judgements = [judgement(Standing::Refused)].into_iter().collect();
        assert!(refused.against("ab", "these").is_some() && refused.against("ab", "those").is_none());
        let mut back: Judgements = [judgement(Standing::RolledBack), judgement(Standing::Good)].into_iter().collect();
        assert!(
            back.against("ab", "those").is_some() && !back.is_good("ab"),
            "good runs of another host do not undo it"
        );
        back.forget("work");
        assert!(back.against("ab", "those").is_none());
    }

    #[test]
    fn a_quarantine_holds_against_all_that_hosts_find_out() {
        let mut all: Judgements = [Judgement { rules: QUARANTINE.into(), ..judgement(Standing::RolledBack) }]
            .into_iter()
            .chain([Standing::Good, Standing::Refused, Standing::RolledBack].map(judgement))
            .collect();
        all.forget("job");
        assert!(all.against("ab", "those").is_some_and(Judgement::is_quarantine));
    }

    #[test]
    fn a_pause_is_of_one_entrypoint_and_ends() {
        let now = Instant::now();
        let later = now + std::time::Duration::from_secs(60);
        let paused: Judgements = [judgement(Standing::Paused(later))].into_iter().collect();
        assert_eq!(paused.paused("ab", "work"), Some(later));
        assert_eq!((paused.paused("ab", "play"), paused.against("ab", "these")), (None, None));
        let over: Judgements = [judgement(Standing::Paused(now))].into_iter().collect();
        assert_eq!(over.paused("ab", "work"), None);
    }
}
