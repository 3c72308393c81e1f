//! `[retention]`: how long rows are kept that jobs leave behind.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;

use super::units::parse_duration;
use pgq_queue::{PrunedTable, Retention, RetentionRule};

/// Attempts are ours, and are removed without being asked to.
const ATTEMPTS: Duration = Duration::from_secs(30 * 24 * 3600);
/// Whoever waits for a job reads its log.
const SHORTEST: Duration = Duration::from_secs(60);
const FOREVER: &str = "forever";

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub(super) struct RetentionSection {
    log: Option<String>,
    successful: Option<String>,
    exception: Option<String>,
    canceled: Option<String>,
    deleted: Option<String>,
    output: Option<String>,
    attempts: Option<String>,
    statistics: Option<String>,
    entrypoints: BTreeMap<String, EntrypointRetention>,
}

/// `[retention.entrypoints.NAME]`. Attempts name no entrypoint.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
struct EntrypointRetention {
    log: Option<String>,
    successful: Option<String>,
    exception: Option<String>,
    canceled: Option<String>,
    deleted: Option<String>,
    output: Option<String>,
    statistics: Option<String>,
}

impl RetentionSection {
    pub(super) fn rules(self, mistakes: &mut Vec<String>) -> Retention {
        let mut rules = Rules { all: Vec::new(), mistakes };
        let attempts = self.attempts.unwrap_or_else(|| humantime::format_duration(ATTEMPTS).to_string());
        rules.add(None, PrunedTable::Attempts, "attempts", None, Some(attempts));
        let general = EntrypointRetention {
            log: self.log,
            successful: self.successful,
            exception: self.exception,
            canceled: self.canceled,
            deleted: self.deleted,
            output: self.output,
            statistics: self.statistics,
        };
        rules.add_all(None, general);
        for (entrypoint, section) in self.entrypoints {
            rules.add_all(Some(&entrypoint), section);
        }
        Retention::new(rules.all)
    }
}

struct Rules<'a> {
    all: Vec<(PrunedTable, RetentionRule)>,
    mistakes: &'a mut Vec<String>,
}

impl Rules<'_> {
    fn add_all(&mut self, entrypoint: Option<&str>, section: EntrypointRetention) {
        use PrunedTable::{Log, Output, Statistics};
        self.add(entrypoint, Log, "log", None, section.log);
        self.add(entrypoint, Log, "successful", Some("successful"), section.successful);
        self.add(entrypoint, Log, "exception", Some("exception"), section.exception);
        self.add(entrypoint, Log, "canceled", Some("canceled"), section.canceled);
        self.add(entrypoint, Log, "deleted", Some("deleted"), section.deleted);
        self.add(entrypoint, Output, "output", None, section.output);
        self.add(entrypoint, Statistics, "statistics", None, section.statistics);
    }

    fn add(
        &mut self,
        entrypoint: Option<&str>,
        table: PrunedTable,
        key: &str,
        outcome: Option<&str>,
        text: Option<String>,
    ) {
        let Some(text) = text else { return };
        let kept = match text.as_str() {
            FOREVER => Ok(None),
            text => match parse_duration(text) {
                Ok(kept) if kept >= SHORTEST => Ok(Some(kept)),
                Ok(_) => {
                    Err(format!("{text:?} is less than a minute; whoever waits for a job may not have read its end"))
                }
                Err(_) => Err(format!("{text:?} is not a duration like \"36h\" or \"30d\", nor {FOREVER:?}")),
            },
        };
        match kept {
            Ok(kept) => {
                let [entrypoint, outcome] = [entrypoint, outcome].map(|text| text.map(str::to_owned));
                self.all.push((table, RetentionRule { entrypoint, outcome, kept }));
            }
            Err(mistake) => {
                let place = entrypoint.map(|name| format!("entrypoints.{name}.")).unwrap_or_default();
                self.mistakes.push(format!("retention.{place}{key}: {mistake}"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Retention, String> {
        let section: RetentionSection = toml::from_str(text).map_err(|error| error.to_string())?;
        let mut mistakes = Vec::new();
        let retention = section.rules(&mut mistakes);
        if mistakes.is_empty() { Ok(retention) } else { Err(mistakes.join("\n")) }
    }

    #[test]
    fn only_attempts_are_removed_where_nothing_is_said() {
        let retention = read("").expect("valid");
        assert_eq!(retention.walks().len(), 1);
        assert!(retention.prunes(PrunedTable::Attempts));
        assert!(read("attempts = \"forever\"").expect("valid").walks().is_empty());
    }

    #[test]
    fn each_key_is_a_rule() {
        let retention = read(
            "log = \"30d\"\nsuccessful = \"7d\"\nexception = \"90d\"\ncanceled = \"1d\"\ndeleted = \"1d\"\noutput = \"2d\"\n\
             attempts = \"1h\"\nstatistics = \"1y\"\n[entrypoints.a]\nlog = \"forever\"\nsuccessful = \"60\"\noutput = \"1h\"",
        )
        .expect("valid");
        let of = |table| retention.walks().iter().filter(|walk| walk.table == table).count();
        assert_eq!(of(PrunedTable::Log), 5, "five ages");
        assert_eq!((of(PrunedTable::Output), of(PrunedTable::Attempts), of(PrunedTable::Statistics)), (2, 1, 1));
        assert_eq!(retention.shortest(), Some(SHORTEST));
    }

    #[test]
    fn all_mistakes_are_named_at_once() {
        let mistakes =
            read("log = \"soon\"\noutput = \"0s\"\n[entrypoints.a]\nexception = \"59s\"").expect_err("invalid");
        for part in
            ["retention.log: \"soon\"", "retention.output: \"0s\"", "retention.entrypoints.a.exception: \"59s\""]
        {
            assert!(mistakes.contains(part), "{part} is missing in: {mistakes}");
        }
        for unknown in ["failed = \"1d\"", "[entrypoints.a]\nattempts = \"1d\""] {
            assert!(read(unknown).expect_err("unknown").contains("unknown field"), "{unknown}");
        }
    }
}
