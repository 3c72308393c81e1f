//! The database as one run of a handler sees it, and as the host sees the run.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::ended::Ended;
use super::failure::connection_lost;
use super::sessions::Sessions;
use super::spec::RunSpec;
use super::transaction::{self, Message};
use pgq_engine::sql::{Forgotten, SqlAnswer, SqlCommand, SqlError, SqlSession};
use pgq_queue::Record;

#[derive(Default)]
enum State {
    /// The guest has not asked for anything.
    #[default]
    Untouched,
    Open(mpsc::UnboundedSender<Message>),
    Over,
}

/// The transaction of one run. It begins with the first command of the guest.
pub struct RunSql {
    sessions: Sessions,
    spec: RunSpec,
    state: Mutex<State>,
    abandoned: CancellationToken,
}

impl fmt::Debug for RunSql {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunSql").field("role", &self.spec.grant.role).finish_non_exhaustive()
    }
}

impl RunSql {
    pub fn new(sessions: Sessions, spec: RunSpec) -> RunSql {
        RunSql { sessions, spec, state: Mutex::default(), abandoned: CancellationToken::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Send this to the transaction, which begins with it if there is none.
    fn send(&self, message: Message) {
        let mut state = self.lock();
        if let State::Untouched = *state {
            let (sender, receiver) = mpsc::unbounded_channel();
            let (sessions, spec, abandoned) = (self.sessions.clone(), self.spec.clone(), self.abandoned.clone());
            self.sessions.control().spawn(transaction::serve(sessions, spec, receiver, abandoned));
            *state = State::Open(sender);
        }
        if let State::Open(sender) = &*state {
            // Whoever waits for the answer is told that there is none.
            let _ = sender.send(message);
        }
    }

    /// Undo what the run wrote, whatever its session does by now. Nothing else can come of it.
    pub fn roll_back(&self) {
        *self.lock() = State::Over;
        self.abandoned.cancel();
    }

    /// Commit what the run wrote, and this outcome with it. `None`: it wrote nothing, and the outcome
    /// is not recorded either.
    pub async fn commit(&self, record: Record) -> Option<Ended> {
        let State::Open(sender) = std::mem::replace(&mut *self.lock(), State::Over) else { return None };
        let (answer, ended) = oneshot::channel();
        if sender.send(Message::Commit(Box::new(record), answer)).is_err() {
            return Some(Ended::Refused(connection_lost(&"the session has ended")));
        }
        Some(ended.await.unwrap_or_else(|_| Ended::Refused(connection_lost(&"the session has ended"))))
    }
}

/// The transaction is rolled back unless it was committed, whatever its session does by then.
impl Drop for RunSql {
    fn drop(&mut self) {
        self.abandoned.cancel();
    }
}

impl SqlSession for RunSql {
    fn ask(&self, command: SqlCommand) -> BoxFuture<'_, Result<SqlAnswer, SqlError>> {
        let (answer, answered) = oneshot::channel();
        self.send(Message::Ask(command, answer));
        async move { answered.await.unwrap_or_else(|_| Err(connection_lost(&"the session has ended"))) }.boxed()
    }

    fn forget(&self, what: Forgotten) {
        self.send(Message::Forget(what));
    }
}
