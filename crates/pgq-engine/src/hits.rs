//! What runs of a version were denied, and which limits they hit, since this host loaded it: counted, so that an operator
//! finds it without reading the log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Denials of other things that are told apart. The rest is one line: a guest that tries everything must not fill the
/// host's memory.
const MAX_TARGETS: usize = 20;
const MAX_TEXT: usize = 200;
/// In the place of the target where there are too many.
const OTHERS: &str = "others";

/// Something that runs tried without a grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// `http`, `address`, `secret`, `enqueue` or `sql`.
    pub what: &'static str,
    /// What they wanted to reach; `others` where there are too many.
    pub target: String,
    /// The cause and the remedy.
    pub why: String,
    pub times: u64,
}

#[derive(Debug, Default)]
struct Counted {
    denials: BTreeMap<(&'static str, String), (String, u64)>,
    limits: BTreeMap<&'static str, u64>,
}

/// Shared by all runs of a version under the same grants.
#[derive(Debug, Default)]
pub struct Hits(Mutex<Counted>);

impl Hits {
    /// A run was denied this.
    pub(super) fn deny(&self, what: &'static str, target: &str, why: &str) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (what, shortened(target));
        if let Some((_, times)) = counted.denials.get_mut(&key) {
            *times += 1;
            return;
        }
        let (key, why) = match counted.denials.len() {
            ..MAX_TARGETS => (key, shortened(why)),
            _ => ((what, OTHERS.to_owned()), "see the host's log".to_owned()),
        };
        counted.denials.entry(key).or_insert((why, 0)).1 += 1;
    }

    /// A run hit the limit with this label.
    pub fn limit(&self, label: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).limits.entry(label).or_default() += 1;
    }

    /// What was denied.
    pub fn denials(&self) -> Vec<Denial> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let denial = |((what, target), (why, times)): (&(&'static str, String), &(String, u64))| Denial {
            what,
            target: target.clone(),
            why: why.clone(),
            times: *times,
        };
        counted.denials.iter().map(denial).collect()
    }

    /// How often each limit was hit.
    pub fn limits(&self) -> Vec<(&'static str, u64)> {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counted.limits.iter().map(|(limit, times)| (*limit, *times)).collect()
    }
}

fn shortened(text: &str) -> String {
    text[..text.floor_char_boundary(MAX_TEXT)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_that_tries_everything_is_counted_in_a_few_lines() {
        let hits = Hits::default();
        (0..1_000).for_each(|n| hits.deny("http", &format!("https://{n}{}", "x".repeat(1_000)), "grant it"));
        (0..3).for_each(|_| hits.deny("sql", "the database", "grant it"));
        hits.limit("memory");
        hits.limit("memory");
        let denials = hits.denials();
        assert_eq!(denials.len(), MAX_TARGETS + 2, "and one line for the others of each kind");
        assert_eq!(denials.iter().map(|denial| denial.times).sum::<u64>(), 1_003);
        assert!(denials.iter().all(|denial| denial.target.len() <= MAX_TEXT && denial.why.len() <= MAX_TEXT));
        assert_eq!(hits.limits(), [("memory", 2)]);
    }
}
