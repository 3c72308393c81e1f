//! One object that is not as it should be, and what an upgrade does about it.

use std::fmt;

use serde::Serialize;

use super::object::Object;

/// One object that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub problem: Problem,
    /// The object, with its kind: `index pgqueuer_ep_ea_idx`.
    pub object: String,
    /// More about it; may be empty.
    pub detail: String,
}

/// In which way an object is not as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    Missing,
    /// It is there, but not as declared.
    Differs,
    /// It is there and should not be.
    Unexpected,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::Missing => "missing",
            Problem::Differs => "different",
            Problem::Unexpected => "unexpected",
        };
        write!(f, "{problem} {}", self.object)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

/// One object that is not as declared.
#[derive(Debug)]
pub(super) struct Difference {
    pub(super) finding: Finding,
    pub(super) cure: Cure,
}

/// What an upgrade does about it.
#[derive(Debug)]
pub(super) enum Cure {
    Run(Vec<String>),
    /// Rewrites a table under an exclusive lock, so the operator may opt out.
    WidenId(String),
    /// A type for which there is no safe conversion: the upgrade stops before it starts.
    Drift {
        table: String,
        column: String,
        installed: String,
        declared: String,
    },
    /// Left to the operator; a worker runs with it as it is.
    ByHand,
}

impl Difference {
    pub(super) fn new(problem: Problem, object: String, detail: String, cure: Cure) -> Difference {
        Difference { finding: Finding { problem, object, detail }, cure }
    }

    pub(super) fn missing(object: &Object, cure: Vec<String>) -> Difference {
        Difference::new(Problem::Missing, object.to_string(), String::new(), Cure::Run(cure))
    }
}
