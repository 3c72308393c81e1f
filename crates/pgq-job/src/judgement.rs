//! What hosts found out about a version of a plugin, for all hosts and for their next start. Plain
//! data.

use std::collections::HashMap;
use std::time::Instant;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It has run for a while, and no circuit breaker of it opened.
    Good,
    /// A host cannot serve the file, and never will: what is wrong is in its bytes.
    Refused,
    /// Its runs crashed, and the version before it was put back.
    RolledBack,
    /// The runs of one entrypoint crash; it is not claimed until then.
    Paused(Instant),
}

impl Standing {
    /// As the database has it.
    pub fn label(self) -> &'static str {
        match self {
            Standing::Good => "good",
            Standing::Refused => "refused",
            Standing::RolledBack => "rolled_back",
            Standing::Paused(_) => "paused",
        }
    }
}

/// A verdict on one version, the bytes of this digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    pub sha256: String,
    /// The plugin's name; that of the file where it never said one.
    pub plugin: String,
    /// As declared, if it ever was.
    pub version: Option<String>,
    /// The entrypoint whose runs crash.
    pub entrypoint: Option<String>,
    pub standing: Standing,
    pub reason: String,
    /// The host's build and settings that the verdict depends on. A refusal holds for those alone.
    pub rules: String,
    /// The host that found it out.
    pub host: String,
}

impl Judgement {
    /// What there is one verdict on: the version, or one entrypoint of it.
    pub fn subject(&self) -> String {
        match (&self.standing, &self.entrypoint) {
            (Standing::Paused(_), Some(entrypoint)) => format!("{}/{entrypoint}", self.sha256),
            _ => self.sha256.clone(),
        }
    }

    /// Whether it may take the place of a verdict on the same subject: a good run does not undo
    /// that the version was taken out of service.
    pub fn outweighs(&self, known: &Judgement) -> bool {
        self.standing != Standing::Good || known.standing == Standing::Good
    }
}

/// All verdicts that are known.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judgements(HashMap<String, Judgement>);

impl Judgements {
    pub fn add(&mut self, judgement: Judgement) {
        let subject = judgement.subject();
        if self.0.get(&subject).is_none_or(|known| judgement.outweighs(known)) {
            self.0.insert(subject, judgement);
        }
    }

    /// An operator says that this plugin or entrypoint is to be tried again.
    pub fn forget(&mut self, name: &str) {
        self.0.retain(|_, known| known.plugin != name && known.entrypoint.as_deref() != Some(name));
    }

    /// Why this version is not to be served by a host of these rules.
    pub fn against(&self, sha256: &str, rules: &str) -> Option<&Judgement> {
        self.0.get(sha256).filter(|known| match known.standing {
            Standing::RolledBack => true,
            Standing::Refused => known.rules == rules,
            Standing::Good | Standing::Paused(_) => false,
        })
    }

    /// Whether it was found to be good.
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
