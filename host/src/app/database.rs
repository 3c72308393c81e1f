//! The way to the database, and the queue in it as this worker sees it.

use uuid::Uuid;

use crate::logging::list;
use pgq_engine::host_memory;
use pgq_queue::byte_budget::ByteBudget;
use pgq_queue::names::Names;
use pgq_queue::schema;
use pgq_queue::unreachable_database;
use pgq_queue::{ConnectError, Connected, Database, Pool, Queue, SchemaFeatures};

/// Connect as this worker, to a database whose schema is one that it can work with.
pub(super) async fn connect(database: &Database, names: &Names, me: Uuid) -> anyhow::Result<Connected> {
    let connected = database.connect_worker(me).await.map_err(|error| match error {
        ConnectError::Unreachable(error) => unreachable_database(&database.source, &error),
        error @ ConnectError::TransactionPooler => error.into(),
    })?;
    let names = names.clone();
    connected
        .pool
        .transaction(move |connection| Box::pin(async move { schema::check_worker(connection, &names).await }))
        .await?;
    Ok(connected)
}

/// The queue, and which additions to the schema the database has.
pub(super) async fn open_queue(
    pool: Pool,
    names: &Names,
    me: Uuid,
    max_claimed_bytes: u64,
) -> anyhow::Result<(Queue, SchemaFeatures)> {
    let queue = Queue::of_worker(pool, names.clone(), me);
    let features = queue.schema_features().await?;
    if features != SchemaFeatures::ALL {
        tracing::warn!(
            lacking = %list(&features.missing()),
            "the database is that of an earlier release, or this role was granted nothing on what came since: \
             `pgq-host upgrade`, `pgq-host grant ROLE --apply`, then a restart, bring what is lacking"
        );
    }
    let queue =
        queue.with_features(features).within(ByteBudget::new(max_claimed_bytes, host_memory::limit())).fitted().await?;
    Ok((queue, features))
}
