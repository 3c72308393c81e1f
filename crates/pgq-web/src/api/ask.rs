//! What a request asks for, read with errors that name what is wrong.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use http::StatusCode;
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::problem::Problem;

/// The query of an address.
#[derive(Debug)]
pub(super) struct Params<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Params<T>, Problem> {
        match Query::<T>::from_request_parts(parts, state).await {
            Ok(Query(params)) => Ok(Params(params)),
            Err(error) => Err(bad(error.body_text())),
        }
    }
}

/// A body in JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, Problem> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(error) => Err(Problem::new(error.status(), error.body_text())),
        }
    }
}

/// The id of a job in a path.
#[derive(Debug)]
pub(super) struct Id(pub(super) i64);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Id, Problem> {
        let Path(text) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|error| bad(error.body_text()))?;
        text.parse().map(Id).map_err(|_| bad(format!("{text:?} is no id; an id is a whole number")))
    }
}

/// Something in the request is not as it has to be.
pub(super) fn bad(detail: impl Into<String>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, detail)
}

/// A number of rows, between 1 and so many.
pub(super) fn limit(asked: Option<u32>, default: usize, most: usize) -> Result<usize, Problem> {
    let Some(asked) = asked else { return Ok(default) };
    let limit = usize::try_from(asked).unwrap_or(usize::MAX);
    if (1..=most).contains(&limit) {
        Ok(limit)
    } else {
        Err(bad(format!("the limit {asked} is not between 1 and {most}; read on with `after`")))
    }
}
