//! Waiting for the database no longer than so.

use std::future::Future;
use std::time::Duration;

pub(super) async fn within<T>(time: Duration, connecting: impl Future<Output = sqlx::Result<T>>) -> sqlx::Result<T> {
    tokio::time::timeout(time, connecting)
        .await
        .unwrap_or_else(|_| Err(timed_out(format!("no answer within {time:?} (PGQUEUER_CONNECT_TIMEOUT)"))))
}

pub(super) fn timed_out(what: impl Into<String>) -> sqlx::Error {
    sqlx::Error::Io(std::io::Error::new(std::io::ErrorKind::TimedOut, what.into()))
}
