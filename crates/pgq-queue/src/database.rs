//! How to reach the database: directly or through a pooler, and where notifications come from.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgListener};
use sqlx::{Connection as _, PgConnection, Row as _};
use tokio::sync::watch;
use uuid::Uuid;

use super::connection::connector;
use super::left::Left;
use super::pool::Pool;
use super::session::{Connector, Sessions};
use super::source::Source;
use super::timeout::within;
use super::variables::pool_sizes;

/// Where the database is.
#[derive(Debug, Clone)]
pub struct Database {
    pub source: Source,
    /// `source` is a pooler in transaction mode: two transactions may run on different sessions.
    pub transaction_pooling: bool,
    /// A way around the pooler, for what needs a session: LISTEN, the advisory lock that shows
    /// life, changes of the schema.
    pub direct: Option<Source>,
    /// Deadline of a worker's statement, round trip included; `None` is the default.
    pub statement_timeout: Option<Duration>,
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// A pooler shares server processes among sessions, and was not declared.
    #[error(
        "this is a pooler in transaction mode, and it shares our sessions with others: set --transaction-pooling \
         (PGQ_HOST_TRANSACTION_POOLING=true), and --listen-dsn (PGQ_HOST_LISTEN_DSN) to an address of the server itself, so that workers are \
         woken instead of polling; or let the pooler pool sessions"
    )]
    TransactionPooler,
    /// It does not answer, or refuses.
    #[error(transparent)]
    Unreachable(#[from] sqlx::Error),
}

/// A worker's connections.
#[derive(Debug, Clone)]
pub struct Connected {
    pub pool: Pool,
    /// For the listener; `None` where no session is our own.
    pub listen_from: Option<ListenFrom>,
}

/// Opens the listener's session.
#[derive(Debug, Clone)]
pub struct ListenFrom(Connector);

impl From<PgConnectOptions> for Database {
    fn from(options: PgConnectOptions) -> Database {
        Database::from(Source::from(options))
    }
}

impl From<Source> for Database {
    fn from(source: Source) -> Database {
        Database { source, transaction_pooling: false, direct: None, statement_timeout: None }
    }
}

impl Database {
    /// Connections with a worker's settings, for a command.
    pub async fn connect(&self) -> sqlx::Result<Pool> {
        let (least, most) = pool_sizes()?;
        let sessions = if self.transaction_pooling { LENT } else { Sessions::Ours(None) };
        let pool = self.open(sessions, least, most, &Left::default()).await?;
        // Somebody waits at a terminal, and the queue may be long.
        Ok(if self.statement_timeout.is_none() { pool.patient() } else { pool })
    }

    /// Connections for the worker of this id.
    pub async fn connect_worker(&self, worker: Uuid) -> Result<Connected, ConnectError> {
        let (ours, left) = (Sessions::Ours(Some(worker)), Left::default());
        let elsewhere =
            self.direct.clone().map(|source| self.connector(source, ours, &left)).transpose()?.map(ListenFrom);
        let (least, most) = pool_sizes()?;
        if self.transaction_pooling {
            return Ok(Connected { pool: self.open(LENT, least, most, &left).await?, listen_from: elsewhere });
        }
        // Before anything is set in a session: with a pooler it would stay set for the next client.
        if are_shared(&self.connector(self.source.clone(), LENT, &left)?).await? {
            return Err(ConnectError::TransactionPooler);
        }
        // One is the listener's.
        let pool = self.open(ours, least, most - usize::from(elsewhere.is_none()), &left).await?;
        let listen_from = match elsewhere {
            Some(elsewhere) => elsewhere,
            None => ListenFrom(self.connector(self.source.clone(), ours, &left)?),
        };
        Ok(Connected { pool, listen_from: Some(listen_from) })
    }

    /// Connections for pages: up to so many, none before it is needed, and none for good. Whoever
    /// waits for a page is soon told that there is no database.
    pub fn for_pages(&self, most: usize) -> sqlx::Result<Pool> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let sessions = if self.transaction_pooling { LENT } else { Sessions::Ours(None) };
        let mut connector = self.connector(self.source.clone(), sessions, &Left::default())?;
        connector.timeout = connector.timeout.min(PATIENCE);
        Ok(Pool::new(connector, 0, most))
    }

    /// The same for whoever must not change anything: the server refuses to write, and ends a
    /// statement that takes longer than this.
    pub fn for_reading(&self, most: usize, longest: Duration) -> sqlx::Result<Pool> {
        const PATIENCE: Duration = Duration::from_secs(3);
        let sessions = if self.transaction_pooling { LENT } else { Sessions::Ours(None) };
        let mut connector = connector(self.source.clone(), sessions, Some(longest + PATIENCE))?;
        connector.timeout = connector.timeout.min(PATIENCE);
        connector.reading = Some(longest);
        Ok(Pool::new(connector, 0, most))
    }

    /// Those that have `left` in common tell each other when a server is the wrong one by now.
    fn connector(&self, source: Source, sessions: Sessions, left: &Left) -> sqlx::Result<Connector> {
        Ok(Connector { left: left.clone(), ..connector(source, sessions, self.statement_timeout)? })
    }

    async fn open(&self, sessions: Sessions, least: usize, most: usize, left: &Left) -> sqlx::Result<Pool> {
        let pool = Pool::new(self.connector(self.source.clone(), sessions, left)?, least, most);
        pool.fill().await?;
        Ok(pool)
    }
}

const LENT: Sessions = Sessions::Lent { prepare: false };

impl ListenFrom {
    /// A session that does not listen yet. A lost one is not reopened by itself.
    pub(super) async fn listener(&self) -> sqlx::Result<PgListener> {
        // A pool for each session: one whose only connection hangs has no other to give.
        let (pool, _reach) = self.0.alone().await?;
        let mut listener = PgListener::connect_with(&pool).await?;
        listener.eager_reconnect(false);
        Ok(listener)
    }

    /// Changes when a server turned out to be read-only.
    pub(super) fn left(&self) -> watch::Receiver<u64> {
        self.0.left.subscribe()
    }
}

/// Whether two connections share a server process, or one connection uses several.
async fn are_shared(connector: &Connector) -> sqlx::Result<bool> {
    const PATIENCE: Duration = Duration::from_secs(5);
    let (mut first, mut second) = (connector.open().await?, connector.open().await?);
    let compared = async {
        let before = process(&mut first).await?;
        // The second connection keeps its process, so that the first cannot get it again.
        sqlx::raw_sql("BEGIN").execute(&mut second).await?;
        let other = process(&mut second).await?;
        // A pooler with one process has none left for it.
        let after = tokio::time::timeout(PATIENCE, process(&mut first)).await;
        sqlx::raw_sql("ROLLBACK").execute(&mut second).await?;
        Ok(other == before || !matches!(after, Ok(Ok(after)) if after == before))
    };
    let shared = within(connector.timeout + PATIENCE, compared).await;
    // Their places may be needed at once.
    let farewell = async { tokio::join!(first.close(), second.close()) };
    let _ = tokio::time::timeout(PATIENCE, farewell).await;
    shared
}

async fn process(connection: &mut PgConnection) -> sqlx::Result<i32> {
    // Not prepared: a pooler would look for the prepared statement in another process.
    sqlx::raw_sql("SELECT pg_backend_pid() AS pid").fetch_one(connection).await?.try_get("pid")
}
