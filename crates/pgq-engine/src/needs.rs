//! What a plugin declares to need. A declaration grants nothing: it makes a missing grant visible
//! before the first job fails.

use std::fmt;

/// The kinds of grants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Http,
    Config,
    Secret,
    Env,
    Directory,
    Enqueue,
    Sql,
}

impl Kind {
    /// The name of the kind, for people and programs.
    pub fn label(self) -> &'static str {
        match self {
            Kind::Http => "http",
            Kind::Config => "config",
            Kind::Secret => "secret",
            Kind::Env => "env",
            Kind::Directory => "directory",
            Kind::Enqueue => "enqueue",
            Kind::Sql => "sql",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    pub kind: Kind,
    /// An origin, a name, or what a database is needed for.
    pub what: String,
}

impl Need {
    /// The line in the section `[plugins.NAME]` that grants it.
    pub fn line(&self) -> String {
        let what = toml::Value::from(self.what.as_str());
        match self.kind {
            Kind::Http => format!("http = [{what}]"),
            Kind::Config => format!("config.{what} = \"…\""),
            Kind::Secret => format!("secrets.{what} = {{ file = \"/…\" }}"),
            Kind::Env => format!("env.{what} = \"…\""),
            Kind::Directory => format!("directories.{what} = \"/…\""),
            Kind::Enqueue => format!("enqueue = [{what}]"),
            Kind::Sql => "sql = { role = \"…\" }".to_owned(),
        }
    }
}

/// A need that is not granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(pub Need);

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Need { kind, what } = &self.0;
        write!(
            f,
            "it needs {} {what:?}; grant it with `{}` in the plugin's section of pgq-host.toml",
            kind.label(),
            self.0.line()
        )
    }
}

/// Limits, so that a guest that declares needs without end does not fill the host's memory.
const MAX_NEEDS: usize = 200;
const MAX_BYTES: usize = 300;

/// All that a plugin declared to need, without duplicates.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs(Vec<Need>);

impl Needs {
    pub fn add(&mut self, kind: Kind, what: String) {
        let need = Need { kind, what };
        if self.0.len() < MAX_NEEDS && need.what.len() <= MAX_BYTES && !self.0.contains(&need) {
            self.0.push(need);
        }
    }

    /// In the order of their declaration.
    pub fn iter(&self) -> impl Iterator<Item = &Need> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_that_needs_without_end_is_heard_to_a_number() {
        let mut needs = Needs::default();
        for n in 0..10_000 {
            needs.add(Kind::Config, format!("key-{n}"));
            needs.add(Kind::Config, format!("{n}{}", "x".repeat(MAX_BYTES)));
        }
        assert_eq!(needs.iter().count(), MAX_NEEDS);
        assert!(needs.iter().all(|need| need.what.len() <= MAX_BYTES));
    }
}
