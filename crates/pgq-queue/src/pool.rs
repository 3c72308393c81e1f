//! Where statements go: to sessions of our own or, behind a pooler in transaction mode, to
//! whichever session it lends for a transaction.
//!
//! Every statement has a deadline. One that is not answered by then, or whose caller is gone, takes
//! its connection with it: a connection in an unknown state is closed, because its next user would
//! read the answer to another statement.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArguments, PgQueryResult, PgRow, PgStatement, PgTypeInfo, Postgres};
use sqlx::{AssertSqlSafe, Connection as _, Either, Execute, Executor, PgConnection, PgPool, SqlSafeStr as _, SqlStr};
use tokio::time::Instant;

use super::access::Access;
use super::left::Left;
use super::millis::millis;
use super::session::{Connector, Deadlines, Sessions, settings};
use super::sessions::{Lent, SessionPool};
use super::sqlstate::Remedy;
use super::timeout::timed_out;

const ROLLBACK: Duration = Duration::from_secs(3);

/// An executor like the driver's own pool. Callers need not know which of the two kinds it is.
/// Cheap to clone.
#[derive(Clone)]
pub struct Pool {
    sessions: Arc<SessionPool>,
    by_transaction: bool,
    /// Every transaction is read-only, and none of its statements takes longer.
    reading: Option<Duration>,
    deadline: Duration,
    upkeep: Duration,
    /// Whether sessions give the memory of their buffers back after each statement.
    shrinks: bool,
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("by_transaction", &self.by_transaction)
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

impl From<PgPool> for Pool {
    fn from(connections: PgPool) -> Pool {
        Pool::like(&connections, true)
    }
}

impl Pool {
    /// Sessions of a pooler: each statement is a transaction that leaves nothing behind.
    pub fn by_transaction(connections: &PgPool) -> Pool {
        Pool::like(connections, false)
    }

    fn like(connections: &PgPool, prepare: bool) -> Pool {
        let options = connections.connect_options().as_ref().clone();
        let size = connections.options().get_max_connections() as usize;
        let timeout = connections.options().get_acquire_timeout();
        let connector = Connector {
            source: options.into(),
            sessions: Sessions::Lent { prepare },
            timeout,
            deadlines: Deadlines::of(None),
            reading: None,
            left: Left::default(),
        };
        Pool::new(connector, 0, size)
    }

    /// Up to `most` sessions, of which `least` stay open when idle.
    pub(super) fn new(connector: Connector, least: usize, most: usize) -> Pool {
        let (by_transaction, deadlines) =
            (matches!(connector.sessions, Sessions::Lent { prepare: false }), connector.deadlines);
        let reading = connector.reading;
        let sessions = Arc::new(SessionPool::new(connector, least, most));
        let (deadline, upkeep) = (deadlines.statement, deadlines.upkeep);
        Pool { sessions, by_transaction, reading, deadline, upkeep, shrinks: false }
    }

    /// Open the sessions that stay open, at least one. Fails where there is no database.
    pub(super) async fn fill(&self) -> sqlx::Result<()> {
        self.sessions.fill().await
    }

    /// The same pool with the longer deadline of upkeep.
    pub(super) fn patient(&self) -> Pool {
        Pool { deadline: self.upkeep, ..self.clone() }
    }

    /// The same pool for a statement that sends or receives megabytes, whose session would keep
    /// buffers of that size.
    pub(super) fn for_large(&self) -> Pool {
        Pool { shrinks: true, ..self.clone() }
    }

    /// Deadline of one statement. A claim may be two statements.
    pub fn longest_wait(&self) -> Duration {
        (self.sessions.timeout() + self.deadline) * 2
    }

    /// Sessions that are as old as this are not used again: their server may be another one by now.
    pub fn retired(&self) -> Instant {
        self.sessions.retired()
    }

    /// What the statements tell of the database's availability.
    pub fn access(&self) -> &Access {
        self.sessions.access()
    }

    /// Run several statements in one transaction with one deadline. They must not be `persistent`:
    /// a prepared statement would stay behind in a session that a pooler lent. After an error,
    /// nothing of them is committed.
    pub async fn transaction<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send,
        E: From<sqlx::Error> + Send,
        F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, E>> + Send,
    {
        let (mut session, began) = (self.sessions.acquire().await?, Instant::now());
        let work = async {
            session.execute(self.begin()).await?;
            let done = work(&mut session).await?;
            session.execute("COMMIT").await?;
            Ok(done)
        };
        match tokio::time::timeout(self.deadline, work).await {
            Ok(Ok(done)) => {
                self.sessions.give_back(session, began);
                Ok(done)
            }
            // Whatever the error: the transaction ends with its session.
            Ok(Err(error)) => Err(error),
            Err(_) => Err(self.late(session).into()),
        }
    }

    /// A session, for longer than a statement.
    pub(super) async fn lend(&self) -> sqlx::Result<Lent> {
        self.sessions.acquire().await
    }

    /// Take it back.
    pub(super) fn take_back(&self, session: Lent) {
        self.sessions.give_back(session, Instant::now());
    }

    /// Its transaction failed, and ends with it.
    pub(super) fn ended(&self, session: Lent, began: Instant, error: &sqlx::Error) {
        self.sessions.failed(session, began, error, true);
    }

    pub(super) fn deadline(&self) -> Duration {
        self.deadline
    }

    /// Sessions at most.
    pub(super) fn most(&self) -> usize {
        self.sessions.most()
    }

    /// Sessions that are open, how many of them are idle, and how many there may be.
    pub fn use_of(&self) -> (usize, usize, usize) {
        let (open, idle) = self.sessions.open();
        (open, idle, self.sessions.most())
    }

    /// Whether a pooler lends a session for each transaction.
    pub(super) fn is_by_transaction(&self) -> bool {
        self.by_transaction
    }

    /// Close all sessions. Those in use are closed when they are given back.
    pub async fn close(&self) {
        self.sessions.close().await;
    }

    /// The settings of a worker, as one message that ends with the transaction.
    fn begin(&self) -> SqlStr {
        let settings = if self.by_transaction { settings(true) } else { String::new() };
        // Where sessions are lent, they have no settings of ours.
        let (mode, limit) = match self.reading {
            Some(longest) => (" READ ONLY", format!("SET LOCAL statement_timeout = {}; ", millis(longest))),
            None => ("", String::new()),
        };
        AssertSqlSafe(format!("BEGIN ISOLATION LEVEL READ COMMITTED{mode}; {limit}{settings}")).into_sql_str()
    }

    async fn run<'q, E: Execute<'q, Postgres> + 'q>(
        &self,
        query: E,
    ) -> sqlx::Result<Vec<Either<PgQueryResult, PgRow>>> {
        let (mut session, began) = (self.sessions.acquire().await?, Instant::now());
        let answers = async {
            if !self.by_transaction {
                return session.fetch_many(query).try_collect().await;
            }
            // To prepare and to execute are two messages. Between two transactions, the pooler
            // would lend the session to another client.
            session.execute(self.begin()).await?;
            let answers = session.fetch_many(Unnamed(query)).try_collect().await?;
            // Nothing is passed on before the commit.
            session.execute("COMMIT").await?;
            Ok(answers)
        };
        let answers = tokio::time::timeout(self.deadline, answers).await;
        if self.shrinks {
            session.shrink_buffers();
        }
        match answers {
            Ok(Ok(answers)) => {
                // A long statement of upkeep says nothing about the database's availability.
                let began = if self.deadline == self.upkeep { Instant::now() } else { began };
                self.sessions.give_back(session, began);
                Ok(answers)
            }
            Ok(Err(error)) => {
                let rolled_back = !self.by_transaction || self.roll_back(&mut session, &error).await;
                self.sessions.failed(session, began, &error, !rolled_back);
                Err(error)
            }
            Err(_) => Err(self.late(session)),
        }
    }

    /// Whether the session is outside of a transaction again.
    async fn roll_back(&self, session: &mut Lent, error: &sqlx::Error) -> bool {
        let rolled_back = async { tokio::time::timeout(ROLLBACK, session.execute("ROLLBACK")).await };
        !Remedy::of(error).ends_session() && matches!(rolled_back.await, Ok(Ok(_)))
    }

    pub(super) fn late(&self, session: Lent) -> sqlx::Error {
        let error = timed_out(format!("no answer within {:?} (--statement-timeout)", self.deadline));
        self.sessions.failed(session, Instant::now(), &error, true);
        error
    }
}

type Results<'e> = BoxStream<'e, sqlx::Result<Either<PgQueryResult, PgRow>>>;

impl<'p> Executor<'p> for &'p Pool {
    type Database = Postgres;

    /// All rows are there before the first is passed on: a session is never held for longer than
    /// its statement.
    fn fetch_many<'e, 'q: 'e, E>(self, query: E) -> Results<'e>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        let answers = async move { Ok::<_, sqlx::Error>(stream::iter(self.run(query).await?.into_iter().map(Ok))) };
        stream::once(answers).try_flatten().boxed()
    }

    fn fetch_optional<'e, 'q: 'e, E>(self, query: E) -> BoxFuture<'e, sqlx::Result<Option<PgRow>>>
    where
        'p: 'e,
        E: 'q + Execute<'q, Postgres>,
    {
        self.fetch(query).boxed().into_future().map(|(first, _)| first.transpose()).boxed()
    }

    fn prepare_with<'e>(self, sql: SqlStr, parameters: &'e [PgTypeInfo]) -> BoxFuture<'e, sqlx::Result<PgStatement>>
    where
        'p: 'e,
    {
        async move {
            let (mut session, began) = (self.sessions.acquire().await?, Instant::now());
            match tokio::time::timeout(self.deadline, session.prepare_with(sql, parameters)).await {
                Ok(Ok(prepared)) => {
                    self.sessions.give_back(session, began);
                    Ok(prepared)
                }
                Ok(Err(error)) => {
                    self.sessions.failed(session, began, &error, false);
                    Err(error)
                }
                Err(_) => Err(self.late(session)),
            }
        }
        .boxed()
    }
}

/// A statement that is not prepared by name, so that nothing stays behind in its session.
struct Unnamed<E>(E);

impl<'q, E: Execute<'q, Postgres>> Execute<'q, Postgres> for Unnamed<E> {
    fn sql(self) -> SqlStr {
        self.0.sql()
    }

    fn statement(&self) -> Option<&PgStatement> {
        None
    }

    fn take_arguments(&mut self) -> Result<Option<PgArguments>, BoxDynError> {
        self.0.take_arguments()
    }

    fn persistent(&self) -> bool {
        false
    }
}
