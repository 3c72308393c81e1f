//! The names of the objects in the database: PgQueuer's defaults, its prefix, schema and overrides,
//! and ours derived from them.
//!
//! All SQL is rendered from a checked [`Names`], once, at start-up; no name ever comes from a
//! producer.

use std::fmt;

/// A name that cannot be used, with where it came from and the remedy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{source_of} is {value:?}, which is not {expected}")]
pub struct NameError {
    source_of: String,
    value: String,
    expected: &'static str,
}

/// What the user said about names: the flags `--prefix` and `--schema`, and PgQueuer's variables.
#[derive(Debug, Clone, Default)]
pub struct NameSettings {
    /// `PGQUEUER_PREFIX`: put before every default name.
    pub prefix: Option<String>,
    /// `PGQUEUER_SCHEMA`: qualifies tables, enum and function; lower-cased, as PgQueuer does.
    pub schema: Option<String>,
}

/// Checked names. Those of tables, enum and function are ready to be put into SQL (quoted where
/// they need it, qualified).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The schema that holds all objects; `None` is the connection's `search_path`.
    pub schema: Option<String>,
    /// `pgqueuer`, bare.
    pub queue_table: String,
    /// `pgqueuer_log`, bare.
    pub log_table: String,
    /// `pgqueuer_statistics`, bare.
    pub statistics_table: String,
    /// `pgqueuer_schedules`, bare.
    pub schedules_table: String,
    /// `pgqueuer_status`, bare.
    pub status_type: String,
    /// `fn_pgqueuer_changed`, bare.
    pub function: String,
    /// `tg_pgqueuer_changed`, bare: triggers live in their table's schema.
    pub trigger: String,
    /// `pgqueuer_statistics_status`, bare: an enum of PgQueuer before 0.27, known only to be
    /// dropped.
    pub retired_type: String,
    /// `ch_pgqueuer`. Channels belong to the database, not to a schema.
    pub channel: String,
}

impl Names {
    /// Check the settings; `env` looks a variable up (PgQueuer's `PGQUEUER_QUEUE_TABLE` and so on
    /// override single names).
    pub fn new(settings: &NameSettings, env: impl Fn(&str) -> Option<String>) -> Result<Names, NameError> {
        let prefix = settings.prefix.clone().unwrap_or_default();
        if !prefix.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(NameError {
                source_of: "the prefix (--prefix, PGQUEUER_PREFIX)".into(),
                value: prefix,
                expected: "made of letters, digits and underscores",
            });
        }
        let schema = settings.schema.clone().filter(|s| !s.is_empty()).map(|s| s.to_lowercase());
        if let Some(schema) = &schema
            && !is_identifier(schema)
        {
            return Err(NameError {
                source_of: "the schema (--schema, PGQUEUER_SCHEMA)".into(),
                value: schema.clone(),
                expected: "a plain name such as `jobs` (letters, digits and underscores, no digit first)",
            });
        }
        let name = |variable: &str, base: &str| -> Result<String, NameError> {
            let full = format!("PGQUEUER_{variable}");
            // PgQueuer still reads the bare spellings of its early releases.
            let (source_of, value) = match (env(&full), env(variable)) {
                (Some(value), _) => (full, value),
                (None, Some(value)) => (variable.to_owned(), value),
                (None, None) => ("the prefix (--prefix, PGQUEUER_PREFIX)".to_owned(), format!("{prefix}{base}")),
            };
            if is_identifier(&value) && value.len() <= 40 {
                Ok(value)
            } else {
                Err(NameError {
                    source_of,
                    value,
                    expected: "a plain name of up to 40 bytes (letters, digits and underscores, no digit first); \
                               longer ones would be cut off in the names of indexes",
                })
            }
        };
        let channel = env("PGQUEUER_CHANNEL").or_else(|| env("CHANNEL")).unwrap_or(format!("{prefix}ch_pgqueuer"));
        let channel_ok = channel
            .chars()
            .enumerate()
            .all(|(i, c)| c.is_ascii_alphanumeric() || c == '_' || (i > 0 && (c == '.' || c == '-')));
        if channel.is_empty() || channel.len() > 63 || !channel_ok {
            return Err(NameError {
                source_of: "the channel (PGQUEUER_CHANNEL)".into(),
                value: channel,
                expected: "a channel name of up to 63 letters, digits, `_`, `.` and `-`",
            });
        }
        Ok(Names {
            queue_table: name("QUEUE_TABLE", "pgqueuer")?,
            log_table: name("QUEUE_TABLE_LOG", "pgqueuer_log")?,
            statistics_table: name("STATISTICS_TABLE", "pgqueuer_statistics")?,
            schedules_table: name("SCHEDULES_TABLE", "pgqueuer_schedules")?,
            status_type: name("QUEUE_STATUS_TYPE", "pgqueuer_status")?,
            function: name("FUNCTION", "fn_pgqueuer_changed")?,
            trigger: name("TRIGGER", "tg_pgqueuer_changed")?,
            retired_type: format!("{prefix}pgqueuer_statistics_status"),
            schema,
            channel,
        })
    }

    /// Put the schema, if any, before a name.
    pub fn qualified(&self, name: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{}.{}", quoted(schema), quoted(name)),
            None => quoted(name),
        }
    }

    /// The same as PgQueuer spells it, without quotes: where it hashes a name for a lock.
    pub fn dotted(&self, name: &str) -> String {
        match &self.schema {
            Some(schema) => format!("{schema}.{name}"),
            None => name.to_owned(),
        }
    }

    /// pgq-host's table of job outputs, bare. Derived from the queue table, so that prefix and
    /// override carry over.
    pub fn output_table(&self) -> String {
        format!("{}_output", self.queue_table)
    }

    /// The versions of plugins that ran jobs, bare.
    pub fn plugin_table(&self) -> String {
        format!("{}_plugin", self.queue_table)
    }

    /// Which of them ran each attempt, bare.
    pub fn attempt_table(&self) -> String {
        format!("{}_attempt", self.queue_table)
    }

    /// What hosts wrote to the log and is not in the statistics yet, bare.
    pub fn tally_table(&self) -> String {
        format!("{}_tally", self.queue_table)
    }

    /// The hosts that run, bare.
    pub fn host_table(&self) -> String {
        format!("{}_host", self.queue_table)
    }

    /// The jobs that a lost worker held, bare.
    pub fn suspect_table(&self) -> String {
        format!("{}_suspect", self.queue_table)
    }

    /// What hosts found out about versions of plugins, bare.
    pub fn verdict_table(&self) -> String {
        format!("{}_verdict", self.queue_table)
    }

    /// How far old rows have been removed, bare.
    pub fn retention_table(&self) -> String {
        format!("{}_retention", self.queue_table)
    }

    /// What runs printed, bare.
    pub fn lines_table(&self) -> String {
        format!("{}_lines", self.queue_table)
    }

    /// What operators paused, bare.
    pub fn pause_table(&self) -> String {
        format!("{}_pause", self.queue_table)
    }

    /// Who changed what by hand, bare.
    pub fn audit_table(&self) -> String {
        format!("{}_audit", self.queue_table)
    }

    /// How operators changed schedules, bare.
    pub fn adjustment_table(&self) -> String {
        format!("{}_adjustment", self.queue_table)
    }

    /// Why runs failed, counted, bare.
    pub fn cause_table(&self) -> String {
        format!("{}_cause", self.queue_table)
    }

    /// Where hosts are told something. Not PgQueuer's channel, whose listeners could not read it.
    pub fn fleet_channel(&self) -> String {
        let suffix = "_host";
        format!("{}{suffix}", &self.channel[..self.channel.len().min(63 - suffix.len())])
    }

    /// pgq-host's function that wakes workers when a row becomes `queued` again, bare.
    pub fn requeued_function(&self) -> String {
        format!("fn_{}_requeued", self.queue_table)
    }

    /// The trigger that calls it, bare.
    pub fn requeued_trigger(&self) -> String {
        format!("tg_{}_requeued", self.queue_table)
    }

    /// Fill a SQL template: `{queue}`, `{log}`, `{statistics}`, `{schedules}`, `{status}`,
    /// `{function}`, `{output}`, `{plugin}`, `{attempt}`, `{tally}`, `{host}`, `{suspect}`,
    /// `{verdict}`, `{retention}`, `{lines}`, `{pause}`, `{audit}`, `{adjustment}`, `{cause}` and
    /// `{requeued_function}` are qualified and quoted; `{x.bare}` is the name alone
    /// (for index and trigger names, unquoted), and `{x.dotted}` the qualified name as PgQueuer
    /// writes it, without quotes (where it hashes a name for a lock).
    pub fn render(&self, template: &str) -> String {
        let pairs = [
            ("queue", self.queue_table.clone()),
            ("log", self.log_table.clone()),
            ("statistics", self.statistics_table.clone()),
            ("schedules", self.schedules_table.clone()),
            ("status", self.status_type.clone()),
            ("function", self.function.clone()),
            ("output", self.output_table()),
            ("plugin", self.plugin_table()),
            ("attempt", self.attempt_table()),
            ("tally", self.tally_table()),
            ("host", self.host_table()),
            ("suspect", self.suspect_table()),
            ("verdict", self.verdict_table()),
            ("retention", self.retention_table()),
            ("lines", self.lines_table()),
            ("pause", self.pause_table()),
            ("audit", self.audit_table()),
            ("adjustment", self.adjustment_table()),
            ("cause", self.cause_table()),
            ("requeued_function", self.requeued_function()),
            ("trigger", self.trigger.clone()),
            ("requeued_trigger", self.requeued_trigger()),
            ("retired_type", self.retired_type.clone()),
        ];
        let mut sql = template.to_owned();
        for (key, name) in pairs {
            sql = sql.replace(&format!("{{{key}}}"), &self.qualified(&name));
            sql = sql
                .replace(&format!("{{{key}.bare}}"), &name)
                .replace(&format!("{{{key}.dotted}}"), &self.dotted(&name));
        }
        sql.replace("{channel}", &self.channel)
    }
}

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.qualified(&self.queue_table))
    }
}

fn is_identifier(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// PgQueuer writes names bare, so PostgreSQL folds them to lower case; ours must name the same
/// object.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(prefix: &str, schema: &str, env: &[(&str, &str)]) -> Result<Names, NameError> {
        let settings = NameSettings { prefix: Some(prefix.into()), schema: Some(schema.into()) };
        Names::new(&settings, |key| env.iter().find(|(k, _)| *k == key).map(|(_, v)| (*v).to_owned()))
    }

    #[test]
    fn defaults_are_pgqueuers() {
        let names = names("", "", &[]).expect("valid");
        assert_eq!(
            names.render("{queue} {log} {channel} {queue.bare}_idx"),
            "\"pgqueuer\" \"pgqueuer_log\" ch_pgqueuer pgqueuer_idx"
        );
    }

    #[test]
    fn prefix_goes_before_every_name_and_schema_is_lowered() {
        let names = names("My_", "Jobs", &[]).expect("valid");
        assert_eq!(names.render("{queue} {output}"), "\"jobs\".\"my_pgqueuer\" \"jobs\".\"my_pgqueuer_output\"");
        assert_eq!(names.channel, "My_ch_pgqueuer");
        assert_eq!(names.function, "My_fn_pgqueuer_changed");
    }

    #[test]
    fn one_name_can_be_overridden_and_is_not_prefixed_again() {
        let names = names("p_", "", &[("PGQUEUER_QUEUE_TABLE", "q"), ("TRIGGER", "tg")]).expect("valid");
        assert_eq!((names.queue_table.as_str(), names.trigger.as_str()), ("q", "tg"));
        assert_eq!(names.log_table, "p_pgqueuer_log");
    }

    #[test]
    fn what_could_leave_the_identifier_is_refused() {
        for (prefix, schema) in [("a\"b", ""), ("a;--", ""), ("", "x y"), ("", "1x"), (&"p".repeat(60), "")] {
            let error = names(prefix, schema, &[]).expect_err("refused").to_string();
            assert!(error.contains(&prefix.escape_debug().to_string()) && error.contains(schema), "{error}");
        }
    }
}
