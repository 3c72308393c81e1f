//! The fields of a form or of a query.

use std::str::FromStr;

use axum::Form;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use http::StatusCode;
use http::request::Parts;

use crate::problem::Problem;
use crate::visitor::{Role, Visitor};

/// The name of the field with the proof that a page of ours sent a form. The gate in front of the
/// pages reads it (`auth/csrf.rs`): no form comes here without one.
pub(crate) const TOKEN: &str = "csrf";

/// Names and values, as they were sent.
#[derive(Debug, Clone, Default)]
pub(crate) struct Fields(pub(crate) Vec<(String, String)>);

/// A form that an operator sent.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) visitor: Visitor,
    pub(crate) fields: Fields,
}

impl Fields {
    /// The first with this name that is not empty.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        let mut named = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.trim());
        named.find(|value| !value.is_empty())
    }

    /// All with this name.
    pub(crate) fn all<'f>(&'f self, name: &str) -> impl Iterator<Item = &'f str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// What the value says; a mistake names it.
    pub(crate) fn parse<T: FromStr>(&self, name: &str, what: &str) -> Result<Option<T>, Problem> {
        let parse = |text: &str| text.parse().map_err(|_| wrong(name, text, what));
        self.text(name).map(parse).transpose()
    }

    /// The value, which has to be there.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Problem> {
        self.text(name).ok_or_else(|| Problem::new(StatusCode::BAD_REQUEST, format!("the field {name:?} is missing")))
    }
}

/// This value of this field is not what it should be.
pub(crate) fn wrong(name: &str, text: &str, what: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, format!("{name}: {text:?} is not {what}"))
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Fields, Problem> {
        match Query::from_request_parts(parts, state).await {
            Ok(Query(pairs)) => Ok(Fields(pairs)),
            Err(error) => Err(Problem::new(StatusCode::BAD_REQUEST, error.body_text())),
        }
    }
}

impl<S: Send + Sync> FromRequest<S> for Sent {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Sent, Problem> {
        let (mut parts, body) = request.into_parts();
        let visitor = Visitor::from_request_parts(&mut parts, state).await?;
        visitor.require(Role::Operator)?;
        let Form(pairs) = Form::<Vec<(String, String)>>::from_request(Request::from_parts(parts, body), state)
            .await
            .map_err(|error| Problem::new(error.status(), error.body_text()))?;
        let fields = Fields(pairs);
        Ok(Sent { visitor, fields })
    }
}
