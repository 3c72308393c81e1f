//! The body of an answer. Its connection is busy for as long as it is there.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http_body::{Body as _, Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::visits::Busy;

/// A stream, whose length nobody knows, ends when the server stops.
pub(super) struct Answer {
    body: Body,
    stopped: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    _busy: Busy,
}

impl Answer {
    pub(super) fn new(body: Body, busy: Busy, stop: CancellationToken) -> Answer {
        let is_stream = body.size_hint().exact().is_none();
        Answer { body, stopped: is_stream.then(|| Box::pin(stop.cancelled_owned())), _busy: busy }
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        if let Some(stopped) = &mut self.stopped
            && stopped.as_mut().poll(context).is_ready()
        {
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
