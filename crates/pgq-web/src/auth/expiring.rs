//! A stream ends with the session that it was opened in.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body::{Body as _, Frame, SizeHint};

use super::sessions::Session;

struct Expiring {
    body: Body,
    ended: BoxFuture<'static, ()>,
}

/// The answer, which ends at a logout if it is one that goes on.
pub(super) fn expiring(response: Response, session: Session) -> Response {
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    let ended = async move {
        let _ = tokio::time::timeout_at(session.until, session.ended.cancelled()).await;
    };
    response.map(|body| Body::new(Expiring { body, ended: Box::pin(ended) }))
}

impl http_body::Body for Expiring {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if self.ended.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
