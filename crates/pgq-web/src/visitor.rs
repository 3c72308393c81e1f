//! Who asks, and what they may.

use std::str::FromStr;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use http::request::Parts;
use pgq_queue::Actor;

use crate::problem::Problem;

/// What a visitor may do. Each may what the one before may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Sees everything but payloads, outputs and what runs printed.
    Viewer,
    /// Sees those as well, and changes things.
    Operator,
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> Result<Role, String> {
        match text {
            "viewer" => Ok(Role::Viewer),
            "operator" => Ok(Role::Operator),
            _ => Err(format!("{text:?} is no role; write \"viewer\" or \"operator\"")),
        }
    }
}

/// Put into the extensions of a request by whatever stands in front of the router. A request
/// without one is refused.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// The author of what they change, in the audit.
    pub name: Arc<str>,
    pub role: Role,
    /// What a form or a script has to send along to change something.
    pub csrf: Arc<str>,
    /// Whether they came by the form to log in, and so can log out.
    pub has_session: bool,
}

impl Visitor {
    /// For the audit.
    pub(crate) fn actor(&self, reason: Option<&str>) -> Actor {
        Actor { author: self.name.to_string(), reason: reason.map(str::to_owned) }
    }

    /// Refuse whoever may not do this.
    pub(crate) fn require(&self, role: Role) -> Result<(), Problem> {
        if self.role < role { Err(Problem::forbidden("an operator's role is needed for this")) } else { Ok(()) }
    }
}

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Visitor, Problem> {
        parts.extensions.get::<Visitor>().cloned().ok_or_else(|| Problem::forbidden("log in first"))
    }
}
