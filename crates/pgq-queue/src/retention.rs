//! How long rows are kept, by table, entrypoint and outcome, and the walks through the tables that
//! follow from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::millis::millis;

/// A walk begins anew after the age that it is about, but not more often than this.
const LEAST_ROUND: Duration = Duration::from_secs(24 * 3600);

/// A table that grows with every job.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrunedTable {
    Log,
    Output,
    Attempts,
    Statistics,
}

impl PrunedTable {
    /// Its name in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            PrunedTable::Log => "log",
            PrunedTable::Output => "output",
            PrunedTable::Attempts => "attempts",
            PrunedTable::Statistics => "statistics",
        }
    }
}

/// How long rows are kept of which jobs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetentionRule {
    /// `None`: of all.
    pub entrypoint: Option<String>,
    /// How the job ended, as the log says it; `None`: however.
    pub outcome: Option<String>,
    /// `None`: for ever.
    pub kept: Option<Duration>,
}

/// All rules. The most specific one counts, and an entrypoint is more specific than an outcome.
/// Rows that no rule is about are kept.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retention(BTreeMap<PrunedTable, Arc<[RetentionRule]>>);

/// The rows of a table that are older than one of the ages in its rules.
#[derive(Debug, Clone)]
pub struct Walk {
    pub table: PrunedTable,
    pub age: Duration,
    pub(super) key: String,
    pub(super) rules: Arc<[RetentionRule]>,
}

impl Retention {
    /// Of these rules, in any order.
    pub fn new(rules: impl IntoIterator<Item = (PrunedTable, RetentionRule)>) -> Retention {
        let mut tables: BTreeMap<PrunedTable, Vec<RetentionRule>> = BTreeMap::new();
        for (table, rule) in rules {
            tables.entry(table).or_default().push(rule);
        }
        let sorted = |mut rules: Vec<RetentionRule>| {
            rules.sort_by_key(|rule| (rule.entrypoint.is_none(), rule.outcome.is_none()));
            rules.into()
        };
        Retention(tables.into_iter().map(|(table, rules)| (table, sorted(rules))).collect())
    }

    /// How long such rows are kept; `None`: for ever.
    pub fn kept(&self, table: PrunedTable, entrypoint: Option<&str>, outcome: Option<&str>) -> Option<Duration> {
        let is_about = |wanted: &Option<String>, is: Option<&str>| wanted.is_none() || wanted.as_deref() == is;
        let rules = self.0.get(&table)?;
        let rule = rules.iter().find(|rule| is_about(&rule.entrypoint, entrypoint) && is_about(&rule.outcome, outcome));
        rule?.kept
    }

    /// Whether a rule removes rows of this table.
    pub fn prunes(&self, table: PrunedTable) -> bool {
        self.walks().iter().any(|walk| walk.table == table)
    }

    /// The shortest age at which rows go.
    pub fn shortest(&self) -> Option<Duration> {
        self.walks().iter().map(|walk| walk.age).min()
    }

    /// A walk for each age at which rows of a table go.
    pub fn walks(&self) -> Vec<Walk> {
        let of = |(table, rules): (&PrunedTable, &Arc<[RetentionRule]>)| {
            let mut ages: Vec<Duration> = rules.iter().filter_map(|rule| rule.kept).collect();
            ages.sort_unstable();
            ages.dedup();
            let walk = |age| Walk { table: *table, age, key: key(*table, age, rules), rules: Arc::clone(rules) };
            ages.into_iter().map(walk).collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

impl Walk {
    /// After this time it begins anew, in milliseconds.
    pub(super) fn round_ms(&self) -> i64 {
        millis(self.age.max(LEAST_ROUND))
    }

    pub(super) fn entrypoints(&self) -> Vec<Option<&str>> {
        self.rules.iter().map(|rule| rule.entrypoint.as_deref()).collect()
    }

    pub(super) fn outcomes(&self) -> Vec<Option<&str>> {
        self.rules.iter().map(|rule| rule.outcome.as_deref()).collect()
    }

    pub(super) fn ages_ms(&self) -> Vec<Option<i64>> {
        self.rules.iter().map(|rule| rule.kept.map(millis)).collect()
    }
}

/// Names the walk for all hosts that have the same rules.
fn key(table: PrunedTable, age: Duration, rules: &[RetentionRule]) -> String {
    let mut text = String::new();
    for rule in rules {
        let _ = write!(text, "{:?} {:?} {:?};", rule.entrypoint, rule.outcome, rule.kept.map(millis));
    }
    // FNV-1a: the same in each release.
    let digest = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{} {} {digest:016x}", table.label(), millis(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn rule(entrypoint: Option<&str>, outcome: Option<&str>, days: Option<u32>) -> (PrunedTable, RetentionRule) {
        let [entrypoint, outcome] = [entrypoint, outcome].map(|text| text.map(str::to_owned));
        (PrunedTable::Log, RetentionRule { entrypoint, outcome, kept: days.map(|days| DAY * days) })
    }

    #[test]
    fn the_most_specific_rule_comes_first_and_an_entrypoint_before_an_outcome() {
        let retention = Retention::new([
            rule(None, None, Some(30)),
            rule(None, Some("exception"), Some(90)),
            rule(Some("a"), None, None),
            rule(Some("a"), Some("exception"), Some(7)),
        ]);
        let walks = retention.walks();
        assert_eq!(walks[0].entrypoints(), [Some("a"), Some("a"), None, None]);
        assert_eq!(walks[0].outcomes(), [Some("exception"), None, Some("exception"), None]);
        assert_eq!(walks.iter().map(|walk| walk.age).collect::<Vec<_>>(), [DAY * 7, DAY * 30, DAY * 90]);
        assert_eq!(retention.shortest(), Some(DAY * 7));
        let kept = |entrypoint, outcome| retention.kept(PrunedTable::Log, Some(entrypoint), Some(outcome));
        assert_eq!((kept("a", "successful"), kept("a", "exception")), (None, Some(DAY * 7)));
        assert_eq!((kept("b", "successful"), kept("b", "exception")), (Some(DAY * 30), Some(DAY * 90)));
    }

    #[test]
    fn a_table_that_is_kept_for_ever_has_no_walk() {
        let retention = Retention::new([rule(None, None, None)]);
        assert!(retention.walks().is_empty() && !retention.prunes(PrunedTable::Log));
        assert_eq!(retention.shortest(), None);
    }

    #[test]
    fn other_rules_are_another_walk_and_the_same_rules_are_the_same() {
        let keys = |days| Retention::new([rule(Some("a"), None, Some(days))]).walks().remove(0).key;
        assert_eq!(keys(1), keys(1));
        assert_eq!(keys(1), "log 86400000 1a6807a83e6f2ee5");
        assert_ne!(keys(1), keys(2));
    }
}
