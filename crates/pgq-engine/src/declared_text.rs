//! Declarations as one JSON text: `registrar.declare`.

use serde::Deserialize;

use super::declared_entrypoint::UTC;
use super::needs::Kind;
use super::resources::Registrar;
use pgq_job::OnFailure;

/// An unknown field is a mistake: a newer plugin that says something this host does not understand
/// must not be served as if it had not said it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Declarations {
    name: Option<String>,
    version: Option<String>,
    #[serde(default)]
    needs: Needs,
    #[serde(default)]
    entrypoints: Vec<Entrypoint>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Needs {
    http: Vec<String>,
    config: Vec<String>,
    secret: Vec<String>,
    env: Vec<String>,
    directory: Vec<String>,
    enqueue: Vec<String>,
    sql: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entrypoint {
    name: String,
    max_attempts: Option<u32>,
    backoff: Option<Backoff>,
    timeout_ms: Option<u64>,
    memory: Option<u64>,
    concurrency: Option<u32>,
    reuse: Option<u32>,
    batch: Option<u32>,
    on_failure: Option<Action>,
    #[serde(default)]
    schedules: Vec<Schedule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Backoff {
    initial_ms: u64,
    multiplier: f64,
    max_ms: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Action {
    Hold,
    Delete,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Schedule {
    expression: String,
    time_zone: Option<String>,
}

/// Add these declarations. A text that cannot be read is one mistake.
pub(super) fn declare(registrar: &Registrar, text: &str) {
    match serde_json::from_str::<Declarations>(text) {
        Ok(declarations) => declarations.add_to(registrar),
        Err(error) => registrar.lock().mistake(format!("the text that it declares cannot be read: {error}")),
    }
}

impl Declarations {
    fn add_to(self, registrar: &Registrar) {
        if let Some(name) = &self.name {
            registrar.name(name);
        }
        if let Some(version) = &self.version {
            registrar.version(version);
        }
        let Needs { http, config, secret, env, directory, enqueue, sql } = self.needs;
        let needs = [
            (Kind::Http, http),
            (Kind::Config, config),
            (Kind::Secret, secret),
            (Kind::Env, env),
            (Kind::Directory, directory),
            (Kind::Enqueue, enqueue),
            (Kind::Sql, sql),
        ];
        for (kind, what) in needs.into_iter().flat_map(|(kind, all)| all.into_iter().map(move |what| (kind, what))) {
            registrar.need(kind, what);
        }
        for entrypoint in self.entrypoints {
            entrypoint.add_to(registrar);
        }
    }
}

impl Entrypoint {
    fn add_to(self, registrar: &Registrar) {
        let entrypoint = registrar.entrypoint(&self.name);
        if let Some(attempts) = self.max_attempts {
            entrypoint.max_attempts(attempts);
        }
        if let Some(Backoff { initial_ms, multiplier, max_ms }) = self.backoff {
            entrypoint.backoff(initial_ms, multiplier, max_ms);
        }
        if let Some(ms) = self.timeout_ms {
            entrypoint.timeout(ms);
        }
        if let Some(bytes) = self.memory {
            entrypoint.memory(bytes);
        }
        if let Some(limit) = self.concurrency {
            entrypoint.concurrency(limit);
        }
        if let Some(jobs) = self.reuse {
            entrypoint.reuse(jobs);
        }
        if let Some(jobs) = self.batch {
            entrypoint.batch(jobs);
        }
        match self.on_failure {
            Some(Action::Hold) => entrypoint.on_failure(OnFailure::Hold),
            Some(Action::Delete) => entrypoint.on_failure(OnFailure::Delete),
            None => {}
        }
        for Schedule { expression, time_zone } in &self.schedules {
            entrypoint.schedule(expression, time_zone.as_deref().unwrap_or(UTC));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::declaration::Declaration;
    use super::*;

    fn declared(texts: &[&str]) -> Declaration {
        let registrar = Registrar::default();
        for text in texts {
            declare(&registrar, text);
        }
        registrar.lock().clone()
    }

    #[test]
    fn a_text_declares_what_the_calls_do_and_each_text_adds() {
        let declared = declared(&[
            r#"{"name": "webhook", "version": "1.2.3", "needs": {"http": ["https://example.com"], "enqueue": ["b"]}}"#,
            r#"{"entrypoints": [{"name": "a", "max-attempts": 3, "timeout-ms": 1500, "memory": 2097152, "reuse": 7,
                "backoff": {"initial-ms": 5, "multiplier": 1.5, "max-ms": 50}, "concurrency": 2, "batch": 9,
                "on-failure": "delete", "schedules": [{"expression": "0 9 * * *", "time-zone": "Europe/Berlin"}]}]}"#,
            r#"{"entrypoints": [{"name": "b"}]}"#,
        ]);
        assert_eq!(declared.mistakes, [""; 0]);
        assert_eq!((declared.name.as_deref(), declared.version.as_deref()), (Some("webhook"), Some("1.2.3")));
        assert_eq!(declared.needs.iter().map(|need| need.kind).collect::<Vec<_>>(), [Kind::Http, Kind::Enqueue]);
        let a = &declared.entrypoints["a"];
        assert_eq!((a.max_attempts, a.timeout, a.memory), (3, Duration::from_millis(1500), 2 << 20));
        assert_eq!((a.concurrency, a.reuse, a.batch, a.on_failure), (Some(2), 7, Some(9), OnFailure::Delete));
        assert_eq!((a.backoff.initial, a.backoff.max), (Duration::from_millis(5), Duration::from_millis(50)));
        assert_eq!(a.schedules.len(), 1);
        assert_eq!(declared.entrypoints["b"], pgq_job::EntrypointOptions::default());
    }

    #[test]
    fn mistakes_are_collected_and_what_is_not_understood_is_one() {
        let declared = declared(&[
            r#"{"name": "No", "entrypoints": [{"name": "a", "reuse": 0}, {"name": "a"}]}"#,
            r#"{"entrypoints": [{"name": "b", "colour": "red"}]}"#,
            "{",
        ]);
        let found = |part: &str| declared.mistakes.iter().any(|mistake| mistake.contains(part));
        for part in ["\"No\"", "reuse of 0", "declared twice", "unknown field `colour`", "EOF"] {
            assert!(found(part), "{part} in {:?}", declared.mistakes);
        }
    }
}
