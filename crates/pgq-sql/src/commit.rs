//! The end that the host wants: the outcome, and everything that the run wrote, or nothing.

use std::time::{Duration, Instant};

use tokio_postgres::Transaction;

use super::arguments;
use super::ended::Ended;
use super::failure::{connection_lost, database};
use super::sessions::Sessions;
use super::work::Work;
use pgq_engine::sql::{ErrorKind, SqlError};
use pgq_queue::{HandlerRun, Record};

/// How long triggers that were put off to the commit may take in a run whose deadline is over.
const LAST_TRIGGERS: Duration = Duration::from_secs(5);
/// How long to wait for an answer. The server gives up before that, as `SETTLE` tells it to.
const ANSWER: Duration = Duration::from_secs(30);

/// The last moment at which code of the role can run: constraints and triggers that were put off.
/// What it left is undone after that: cursors which the commit would run to their end, and settings.
/// From then on the job's row is locked, and nothing that happens takes long.
const SETTLE: &str = "SET CONSTRAINTS ALL IMMEDIATE; CLOSE ALL; RESET ALL; SET LOCAL statement_timeout = '5s'; \
                      SET LOCAL lock_timeout = '2s'; SET LOCAL idle_in_transaction_session_timeout = '5s'";

const IN_FAILED_TRANSACTION: &str = "25P02";

/// What to commit, and where.
pub(super) struct Commit<'a> {
    pub(super) sessions: &'a Sessions,
    pub(super) record: &'a Record,
    pub(super) run: HandlerRun,
    /// `None` in another database, which knows nothing of outcomes.
    pub(super) schema: Option<&'a str>,
    pub(super) deadline: Instant,
}

/// Returns also whether the transaction is over for certain.
pub(super) async fn commit(mut work: Work<'_>, wanted: Commit<'_>) -> (Ended, bool) {
    work.meter.begin(u64::MAX);
    let until = wanted.deadline.max(Instant::now() + LAST_TRIGGERS);
    let settling = async {
        if let Some(outermost) = work.savepoints.first().copied() {
            work.roll_back(outermost).await?;
        }
        work.transaction.batch_execute(SETTLE).await.map_err(|error| database(&error))
    };
    match tokio::time::timeout_at(until.into(), settling).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => {
            let error = explained(error, work.first_failure.take());
            return (Ended::Refused(error), roll_back(work.transaction).await);
        }
        Err(_) => return (Ended::Refused(late("its deferred triggers took too long")), false),
    }
    let Some(schema) = wanted.schema else { return commit_apart(work.transaction).await };
    let call = wanted.sessions.queue().handler_call(wanted.record, wanted.run, schema);
    let (text, arguments) = arguments::of(&call);
    let recorded = match tokio::time::timeout(ANSWER, work.transaction.query_typed(&text, &arguments)).await {
        Ok(Ok(rows)) => rows,
        Ok(Err(error)) => return (Ended::Refused(database(&error)), roll_back(work.transaction).await),
        Err(_) => return (Ended::Refused(late("the outcome was not recorded in time")), false),
    };
    let Some(transaction) = recorded.first().and_then(|row| row.try_get::<_, String>(1).ok()) else {
        return (Ended::NotOurs, roll_back(work.transaction).await);
    };
    match tokio::time::timeout(ANSWER, work.transaction.commit()).await {
        Ok(Ok(())) => (Ended::Committed, true),
        // The server says no, and goes on.
        Ok(Err(error)) if database(&error).kind == ErrorKind::Database => (Ended::Refused(database(&error)), true),
        unknown => {
            let cause = match unknown {
                Ok(Err(error)) => database(&error),
                _ => late("the commit was not answered in time"),
            };
            let ended = match wanted.sessions.what_became_of(&transaction).await {
                Some(true) => Ended::Committed,
                Some(false) => Ended::Refused(cause),
                None => Ended::Unknown,
            };
            (ended, false)
        }
    }
}

/// If the answer is lost, so is the run: it happens again, as at any other place where a host can die
/// between this commit and the outcome.
async fn commit_apart(transaction: Transaction<'_>) -> (Ended, bool) {
    match tokio::time::timeout(ANSWER, transaction.commit()).await {
        Ok(Ok(())) => (Ended::Apart, true),
        Ok(Err(error)) => {
            let error = database(&error);
            let is_over = error.kind == ErrorKind::Database;
            (Ended::Refused(error), is_over)
        }
        Err(_) => (Ended::Refused(late("the commit was not answered in time")), false),
    }
}

async fn roll_back(transaction: Transaction<'_>) -> bool {
    matches!(tokio::time::timeout(LAST_TRIGGERS, transaction.rollback()).await, Ok(Ok(())))
}

fn late(what: &str) -> SqlError {
    connection_lost(&what)
}

/// That the transaction had failed before says nothing; the first failure does.
fn explained(error: SqlError, first: Option<SqlError>) -> SqlError {
    match first {
        Some(first) if error.sqlstate() == Some(IN_FAILED_TRANSACTION) => {
            let message = format!("a statement failed outside of a savepoint, and the run went on: {}", first.message);
            SqlError { message, ..first }
        }
        _ => error,
    }
}
