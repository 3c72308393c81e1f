//! The options of one entrypoint: as declared, limited by the operator's caps, and which of them
//! are defaults.

use std::fmt;
use std::time::Duration;

use humantime::format_duration;
use serde_json::{Map, Value, json};

use crate::plugins::Caps;
use pgq_job::{EntrypointOptions, OnFailure};
use pgq_queue::HistoryLevel;

/// One option, for people and for programs.
struct OptionLine {
    name: &'static str,
    text: String,
    value: Value,
    /// The declared value, if a cap lowers it.
    declared: Option<String>,
    default: bool,
}

/// All options of one entrypoint.
pub(super) struct Options {
    name: String,
    lines: Vec<OptionLine>,
    schedules: Vec<String>,
}

impl Options {
    /// `claim` and `history`: what the operator's configuration makes of it.
    pub(super) fn of(
        name: &str,
        declared: &EntrypointOptions,
        caps: &Caps,
        claim: &'static str,
        history: HistoryLevel,
    ) -> Options {
        let default = EntrypointOptions::default();
        // Destructured, so that a new option cannot be forgotten here.
        let EntrypointOptions {
            max_attempts,
            backoff,
            timeout,
            memory,
            concurrency,
            on_failure,
            schedules,
            reuse,
            batch,
        } = caps.apply(declared);
        let line = |name, text, value, default| OptionLine { name, text, value, declared: None, default };
        let capped = |differs: bool, was: String| differs.then_some(was);
        let lines = vec![
            line("max-attempts", max_attempts.to_string(), json!(max_attempts), max_attempts == default.max_attempts),
            line(
                "backoff",
                format!("{}, then times {}, up to {}", time(backoff.initial), backoff.multiplier, time(backoff.max)),
                json!({"initial_ms": millis(backoff.initial), "multiplier": backoff.multiplier, "max_ms": millis(backoff.max)}),
                backoff == default.backoff,
            ),
            OptionLine {
                declared: capped(timeout != declared.timeout, time(declared.timeout)),
                ..line("timeout", time(timeout), json!(millis(timeout)), declared.timeout == default.timeout)
            },
            OptionLine {
                declared: capped(memory != declared.memory, bytes(declared.memory)),
                ..line("memory", bytes(memory), json!(memory), declared.memory == default.memory)
            },
            line(
                "concurrency",
                concurrency.map_or("no limit".into(), |n| n.to_string()),
                json!(concurrency),
                concurrency.is_none(),
            ),
            line(
                "reuse",
                if reuse == 1 { "a fresh instance per call".into() } else { format!("{reuse} calls") },
                json!(reuse),
                reuse == default.reuse,
            ),
            line(
                "batch",
                batch.map_or("job by job".into(), |n| format!("up to {n} jobs in a call")),
                json!(batch),
                batch.is_none(),
            ),
            line(
                "on-failure",
                on_failure_name(on_failure).into(),
                json!(on_failure_name(on_failure)),
                on_failure == default.on_failure,
            ),
            line("claim", claim.into(), json!(claim), false),
            line("history", history.label().into(), json!(history.label()), history == HistoryLevel::default()),
        ];
        Options { name: name.to_owned(), lines, schedules }
    }

    /// Values by name, in milliseconds and bytes, and which of them are defaults or capped.
    pub(super) fn json(&self) -> Value {
        let key = |line: &OptionLine| match line.name {
            "timeout" => "timeout_ms".to_owned(),
            "memory" => "memory_bytes".to_owned(),
            name => name.replace('-', "_"),
        };
        let mut object: Map<String, Value> = self.lines.iter().map(|line| (key(line), line.value.clone())).collect();
        let names =
            |which: fn(&OptionLine) -> bool| self.lines.iter().filter(|line| which(line)).map(key).collect::<Vec<_>>();
        object.insert("name".into(), json!(self.name));
        object.insert("schedules".into(), json!(self.schedules));
        object.insert("defaults".into(), json!(names(|line| line.default)));
        object.insert("capped".into(), json!(names(|line| line.declared.is_some())));
        object.into()
    }
}

impl fmt::Display for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "  entrypoint  {}", self.name)?;
        for OptionLine { name, text, declared, default, .. } in &self.lines {
            let default = if *default { " (default)" } else { "" };
            let capped =
                declared.as_ref().map(|was| format!(" (declared {was}; capped by [limits])")).unwrap_or_default();
            writeln!(f, "    {name:12} {text}{default}{capped}")?;
        }
        for schedule in &self.schedules {
            writeln!(f, "    schedule     {schedule}")?;
        }
        Ok(())
    }
}

fn on_failure_name(on_failure: OnFailure) -> &'static str {
    match on_failure {
        OnFailure::Hold => "hold",
        OnFailure::Delete => "delete",
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn time(time: Duration) -> String {
    format_duration(time).to_string()
}

/// In the largest unit that is exact, otherwise with one decimal.
pub(super) fn bytes(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..0x10_0000 => format!("{} KiB", bytes.div_ceil(1 << 10)),
        _ if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        _ => format!("{}.{} MiB", bytes >> 20, ((bytes & 0xF_FFFF) * 10) >> 20),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_and_caps_are_marked() {
        let declared =
            EntrypointOptions { max_attempts: 5, timeout: Duration::from_secs(7200), ..EntrypointOptions::default() };
        let options = Options::of("pack", &declared, &Caps::default(), "locked", HistoryLevel::Full);
        let json = options.json();
        assert_eq!((&json["timeout_ms"], &json["capped"]), (&json!(3_600_000), &json!(["timeout_ms"])));
        assert_eq!(
            json["defaults"],
            json!(["backoff", "memory_bytes", "concurrency", "reuse", "batch", "on_failure", "history"])
        );
        let text = options.to_string();
        for line in [
            "max-attempts 5\n",
            "timeout      1h (declared 2h; capped by [limits])\n",
            "memory       256 MiB (default)\n",
        ] {
            assert!(text.contains(line), "{line:?} is missing in:\n{text}");
        }
    }

    #[test]
    fn sizes_are_readable() {
        for (size, text) in
            [(0, "0 bytes"), (1025, "2 KiB"), (1 << 20, "1 MiB"), (1_179_648, "1.1 MiB"), (256 << 20, "256 MiB")]
        {
            assert_eq!(bytes(size), text);
        }
    }
}
