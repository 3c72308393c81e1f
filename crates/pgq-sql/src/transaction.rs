//! The transaction of one run, from the first statement of the guest to the end that the host
//! decides on.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio_postgres::{Client, IsolationLevel, SimpleQueryMessage, Transaction};
use tokio_util::sync::CancellationToken;

use super::commit::{self, Commit};
use super::ended::Ended;
use super::failure::{connection_lost, database};
use super::sessions::Sessions;
use super::spec::RunSpec;
use super::work::Work;
use pgq_engine::sql::{Forgotten, SqlAnswer, SqlCommand, SqlError};
use pgq_queue::{HandlerRun, Record};

/// How long a transaction may take to begin, or to be rolled back.
const PATIENCE: Duration = Duration::from_secs(5);

pub(super) enum Message {
    Ask(SqlCommand, oneshot::Sender<Result<SqlAnswer, SqlError>>),
    Forget(Forgotten),
    Commit(Box<Record>, oneshot::Sender<Ended>),
}

/// Do what the run asks for, until it is abandoned or committed.
pub(super) async fn serve(
    sessions: Sessions,
    spec: RunSpec,
    mut messages: mpsc::UnboundedReceiver<Message>,
    abandoned: CancellationToken,
) {
    let acquiring = sessions.acquire(&spec.grant, spec.authorities.as_ref());
    let opening = tokio::time::timeout_at(spec.deadline.into(), acquiring);
    let Some(opened) = abandoned.run_until_cancelled(opening).await else { return };
    let mut session = match opened {
        Ok(Ok(session)) => session,
        Ok(Err(error)) => return fail(&mut messages, &abandoned, error).await,
        // The run ends at the same time.
        Err(_) => return fail(&mut messages, &abandoned, connection_lost(&"no session was free in time")).await,
    };
    session.meter.begin(spec.grant.bytes);
    let begun = tokio::time::timeout(PATIENCE, begin(&mut session.client, &spec)).await;
    let (transaction, run) = match begun.unwrap_or_else(|_| Err(connection_lost(&"no answer in time"))) {
        Ok(begun) => begun,
        // It is closed.
        Err(error) => return fail(&mut messages, &abandoned, error).await,
    };
    let work = Work::new(transaction, Arc::clone(&session.meter), &spec);
    let (is_over, is_marked) =
        transact(work, &sessions, session.schema.as_deref(), run, &spec, &mut messages, &abandoned).await;
    session.is_marked |= is_marked;
    if is_over {
        sessions.give_back(session).await
    } else {
        sessions.end(session, run.pid, spec.authorities.as_ref()).await
    }
}

/// There is no session: say so to all that comes.
async fn fail(messages: &mut mpsc::UnboundedReceiver<Message>, abandoned: &CancellationToken, error: SqlError) {
    while let Some(Some(message)) = abandoned.run_until_cancelled(messages.recv()).await {
        match message {
            Message::Ask(_, answer) => drop(answer.send(Err(error.clone()))),
            Message::Commit(_, answer) => drop(answer.send(Ended::Refused(error.clone()))),
            Message::Forget(_) => {}
        }
    }
}

/// The session tells itself which it is. Its role may have set any `search_path` for its sessions, so
/// that one is not asked for a name.
async fn begin<'c>(client: &'c mut Client, spec: &RunSpec) -> Result<(Transaction<'c>, HandlerRun), SqlError> {
    let starting = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(false);
    let transaction = starting.start().await.map_err(|error| database(&error))?;
    let left = spec.deadline.saturating_duration_since(Instant::now()).as_millis().clamp(1, i32::MAX as u128);
    let lock = spec.grant.lock_timeout.as_millis().clamp(1, i32::MAX as u128);
    let text = format!(
        "SET LOCAL search_path = pg_catalog; SET LOCAL statement_timeout = {left}; SET LOCAL lock_timeout = {lock}; \
         SET LOCAL idle_in_transaction_session_timeout = {left}; \
         SELECT pg_backend_pid(), (extract(epoch FROM now()) * 1000000)::bigint; SET LOCAL search_path TO DEFAULT"
    );
    let answers = transaction.simple_query(&text).await.map_err(|error| database(&error))?;
    let row =
        answers.iter().find_map(|answer| if let SimpleQueryMessage::Row(row) = answer { Some(row) } else { None });
    let run = row.and_then(|row| Some((row.get(0)?.parse().ok()?, row.get(1)?.parse().ok()?)));
    match run {
        Some((pid, began_us)) => Ok((transaction, HandlerRun { pid, began_us })),
        None => Err(connection_lost(&"the session does not say which it is")),
    }
}

/// Returns whether the transaction is over for certain, and whether the driver has left statements
/// in the session.
async fn transact(
    mut work: Work<'_>,
    sessions: &Sessions,
    schema: Option<&str>,
    run: HandlerRun,
    spec: &RunSpec,
    messages: &mut mpsc::UnboundedReceiver<Message>,
    abandoned: &CancellationToken,
) -> (bool, bool) {
    loop {
        match abandoned.run_until_cancelled(messages.recv()).await.flatten() {
            Some(Message::Ask(command, answer)) => match abandoned.run_until_cancelled(work.run(command)).await {
                Some(done) => drop(answer.send(done)),
                None => return (false, true),
            },
            Some(Message::Forget(what)) => {
                if abandoned.run_until_cancelled(work.forget(what)).await.is_none() {
                    return (false, true);
                }
            }
            Some(Message::Commit(record, answer)) => {
                let is_marked = work.has_own_types;
                let wanted = Commit { sessions, record: &record, run, schema, deadline: spec.deadline };
                let (ended, is_over) = commit::commit(work, wanted).await;
                metrics::counter!("pgq_host_sql_commits_total", "plugin" => Arc::clone(&spec.plugin), "outcome" => ended.label())
                    .increment(1);
                let _ = answer.send(ended);
                return (is_over, is_marked);
            }
            None => {
                let is_marked = work.has_own_types;
                let rolled_back = tokio::time::timeout(PATIENCE, work.transaction.rollback()).await;
                return (matches!(rolled_back, Ok(Ok(()))), is_marked);
            }
        }
    }
}
