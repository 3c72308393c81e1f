//! Who said it: an error names the place to correct.

use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Dsn,
    /// The service of this name, in this file.
    Service(String, String),
    Variable(&'static str),
}

impl Origin {
    /// This parameter, where it is written.
    pub(crate) fn of(&self, parameter: &str) -> String {
        match self {
            Origin::Variable(name) => (*name).to_owned(),
            other => format!("{parameter} in {other}"),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Dsn => write!(f, "the DSN"),
            Origin::Service(name, file) => write!(f, "the service {name:?} of {file}"),
            Origin::Variable(name) => write!(f, "{name}"),
        }
    }
}
