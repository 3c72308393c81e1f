//! Opening connections.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use super::left::Left;
use super::session::{Connector, Deadlines, Sessions};
use super::source::Source;
use super::variables::{Variables, configuration, in_time};
use crate::environment::variable;

/// A pool of the driver's for a command, whose sessions have a worker's settings.
pub async fn connect(options: PgConnectOptions) -> sqlx::Result<PgPool> {
    let settings = Variables::read(variable).map_err(configuration)?;
    let connector = connector(options.clone().into(), Sessions::Ours(None), None)?;
    let pool = PgPoolOptions::new().min_connections(settings.pool_min_size).max_connections(settings.pool_max_size);
    let pool = pool.acquire_timeout(settings.connect_timeout).after_connect(move |connection, _| {
        let connector = connector.clone();
        Box::pin(async move { connector.set_up(connection).await })
    });
    match pool.connect_with(options.clone()).await {
        // The driver's pool retries until its time is over, and does not say why each try failed.
        Err(sqlx::Error::PoolTimedOut) => {
            Err(in_time(PgConnection::connect_with(&options)).await.err().unwrap_or(sqlx::Error::PoolTimedOut))
        }
        connected => connected,
    }
}

/// Opens a worker's sessions. `statement`: deadline of a statement; `None` is the default.
pub(super) fn connector(source: Source, sessions: Sessions, statement: Option<Duration>) -> sqlx::Result<Connector> {
    let settings = Variables::read(variable).map_err(configuration)?;
    let timeout = source.connect_timeout().unwrap_or(settings.connect_timeout);
    Ok(Connector {
        source,
        sessions,
        timeout,
        deadlines: Deadlines::of(statement),
        reading: None,
        left: Left::default(),
    })
}
