//! How much of a job's way is kept in the log.

use std::sync::{Arc, PoisonError, RwLock};

/// Statistics count every transition at each level: hosts count what they write.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HistoryLevel {
    /// A log row for every transition, as PgQueuer writes them, and a row for each attempt.
    #[default]
    Full,
    /// No log row for a claim.
    Outcomes,
    /// No log row for a claim or a success either, and no rows for attempts. What failed, was
    /// cancelled or was put back is logged all the same.
    None,
}

impl HistoryLevel {
    /// The level of this name.
    pub fn of_label(label: &str) -> Option<HistoryLevel> {
        [HistoryLevel::Full, HistoryLevel::Outcomes, HistoryLevel::None]
            .into_iter()
            .find(|level| level.label() == label)
    }

    /// Its name in the configuration.
    pub fn label(self) -> &'static str {
        match self {
            HistoryLevel::Full => "full",
            HistoryLevel::Outcomes => "outcomes",
            HistoryLevel::None => "none",
        }
    }
}

/// The entrypoints whose history is not full, as statements take them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// Their claims are not logged.
    claims_unlogged: Arc<[String]>,
    /// Their successes are not logged either.
    successes_unlogged: Arc<[String]>,
}

impl History {
    /// What is kept of the jobs of each entrypoint. Entrypoints that are not named have full history.
    pub fn new<'e>(levels: impl IntoIterator<Item = (&'e str, HistoryLevel)>) -> History {
        let mut levels: Vec<(&str, HistoryLevel)> = levels.into_iter().collect();
        levels.sort_unstable();
        let from = |least: HistoryLevel| {
            levels.iter().filter(|(_, level)| *level >= least).map(|(name, _)| (*name).to_owned()).collect()
        };
        History { claims_unlogged: from(HistoryLevel::Outcomes), successes_unlogged: from(HistoryLevel::None) }
    }
}

/// What a worker's statements go by now.
#[derive(Debug, Default)]
pub(super) struct CurrentHistory(RwLock<History>);

impl CurrentHistory {
    pub(super) fn set(&self, history: History) {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if *current != history {
            *current = history;
        }
    }

    pub(super) fn claims_unlogged(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).claims_unlogged.to_vec()
    }

    pub(super) fn successes_unlogged(&self) -> Vec<String> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).successes_unlogged.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_logs_no_success_logs_no_claim() {
        let levels = [("c", HistoryLevel::None), ("b", HistoryLevel::Outcomes), ("a", HistoryLevel::Full)];
        let current = CurrentHistory::default();
        current.set(History::new(levels));
        assert_eq!(current.claims_unlogged(), ["b", "c"]);
        assert_eq!(current.successes_unlogged(), ["c"]);
    }
}
