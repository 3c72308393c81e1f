//! The session pool: a few sessions stay open, more are opened as they are needed, as many as the
//! server grants.
//!
//! The driver's pool does not serve here. Before it lends a session again, it waits for the answer
//! to a statement that was given up, without end where the network is silent. Where the server
//! grants no more sessions it waits for a new one, beside idle sessions of its own.

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::{Connection as _, PgConnection};
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use super::access::Access;
use super::session::Connector;
use super::sqlstate::{READ_ONLY, Remedy, is};

use crate::told::Told as _;

/// Surplus sessions that are idle for this long are closed.
const IDLE: Duration = Duration::from_secs(600);
/// Sessions are replaced at this age: memory of the server process is released, and changed
/// defaults take effect.
const LIFETIME: Duration = Duration::from_secs(1800);
/// A session that answered within this time is not probed before use.
const FRESH: Duration = Duration::from_secs(1);
const PING: Duration = Duration::from_secs(3);
const FAREWELL: Duration = Duration::from_secs(1);
/// After the server refused a session for lack of free ones, no more are asked for during this
/// time.
const FULL: Duration = Duration::from_secs(5);
const FIRST_RETRY: Duration = Duration::from_millis(20);
const LAST_RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct SessionPool {
    connector: Connector,
    least: usize,
    most: usize,
    places: Arc<Semaphore>,
    state: Mutex<State>,
    /// All sessions, lent or idle.
    open: Arc<AtomicUsize>,
    given_back: Arc<Notify>,
    access: Access,
    closed: AtomicBool,
}

#[derive(Debug)]
struct State {
    idle: Vec<Session>,
    /// Sessions that were opened before this are not used again.
    retired: Instant,
    /// Sessions whose last answer is older than this are probed before use.
    doubted: Instant,
    full_until: Instant,
}

#[derive(Debug)]
struct Session {
    connection: PgConnection,
    opened: Instant,
    answered: Instant,
    _open: Open,
}

/// Counts a session as open until it is dropped.
#[derive(Debug)]
struct Open(Arc<AtomicUsize>, Arc<Notify>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
        // A waiter may open another.
        self.1.notify_one();
    }
}

/// A session in use. One that is dropped without being given back is closed.
#[derive(Debug)]
pub(super) struct Lent {
    session: Session,
    _place: OwnedSemaphorePermit,
}

impl Deref for Lent {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.session.connection
    }
}

impl DerefMut for Lent {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.session.connection
    }
}

impl SessionPool {
    pub(super) fn new(connector: Connector, least: usize, most: usize) -> SessionPool {
        let now = Instant::now();
        SessionPool {
            connector,
            least: least.min(most),
            most,
            places: Arc::new(Semaphore::new(most)),
            state: Mutex::new(State { idle: Vec::new(), retired: now, doubted: now, full_until: now }),
            open: Arc::default(),
            given_back: Arc::default(),
            access: Access::default(),
            closed: AtomicBool::new(false),
        }
    }

    pub(super) fn access(&self) -> &Access {
        &self.access
    }

    /// Sessions at most.
    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Sessions that are open, and how many of them are idle.
    pub(super) fn open(&self) -> (usize, usize) {
        let idle = self.state.lock().unwrap_or_else(PoisonError::into_inner).idle.len();
        (self.open.load(Ordering::Acquire).max(idle), idle)
    }

    pub(super) fn timeout(&self) -> Duration {
        self.connector.timeout
    }

    /// Sessions that were opened before this are not used again.
    pub(super) fn retired(&self) -> Instant {
        self.state().retired
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Open the sessions that stay open, at least one, to know that the database is there.
    pub(super) async fn fill(&self) -> sqlx::Result<()> {
        let mut filled = Vec::new();
        while filled.len() < self.least.max(1) {
            filled.push(self.acquire().await?);
        }
        filled.into_iter().for_each(|session| self.give_back(session, Instant::now()));
        Ok(())
    }

    /// A live session, or the reason why there is none, within the connect timeout.
    pub(super) async fn acquire(&self) -> sqlx::Result<Lent> {
        let deadline = Instant::now() + self.connector.timeout;
        let mut last = None;
        let acquired = timeout_at(deadline, async {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            let session = self.session(&mut last).await?;
            Ok(Lent { session, _place: place })
        });
        let acquired = acquired.await.unwrap_or_else(|_| Err(last.unwrap_or(sqlx::Error::PoolTimedOut)));
        // That all sessions are busy for so long says that the database does not keep up.
        acquired.inspect_err(|_| self.access.lost())
    }

    async fn session(&self, last: &mut Option<sqlx::Error>) -> sqlx::Result<Session> {
        let mut retry = FIRST_RETRY;
        loop {
            if self.closed.load(Ordering::Acquire) {
                return Err(sqlx::Error::PoolClosed);
            }
            // Subscribed before the check, so that a session that is given back after it is not
            // missed.
            let given_back = self.given_back.notified();
            while let Some(session) = self.pop() {
                if let Some(session) = self.checked(session).await {
                    return Ok(session);
                }
            }
            let others = self.open.load(Ordering::Acquire) > 0;
            if !(others && Instant::now() < self.state().full_until) {
                match self.connector.try_open().await {
                    Ok(connection) => return Ok(self.opened(connection)),
                    Err(error) if Remedy::of(&error) == Remedy::Full => {
                        self.state().full_until = Instant::now() + FULL;
                        *last = Some(error);
                    }
                    Err(error) if Remedy::may_pass_while_connecting(&error) => *last = Some(error),
                    Err(error) => return Err(error),
                }
            }
            let _ = timeout(retry.mul_f64(0.5 + fastrand::f64() / 2.0), given_back).await;
            retry = (retry * 2).min(LAST_RETRY);
        }
    }

    fn opened(&self, connection: PgConnection) -> Session {
        let now = Instant::now();
        self.open.fetch_add(1, Ordering::AcqRel);
        Session {
            connection,
            opened: now,
            answered: now,
            _open: Open(Arc::clone(&self.open), Arc::clone(&self.given_back)),
        }
    }

    /// The most recently used session, so that surplus ones become idle.
    fn pop(&self) -> Option<Session> {
        let mut state = self.state();
        let retired = state.retired;
        while let Some(session) = state.idle.pop() {
            if session.opened >= retired && session.opened.elapsed() < LIFETIME {
                return Some(session);
            }
        }
        None
    }

    /// The session, if it is alive.
    async fn checked(&self, mut session: Session) -> Option<Session> {
        let doubted = self.state().doubted;
        if session.answered.elapsed() < FRESH && session.answered >= doubted {
            return Some(session);
        }
        match timeout(PING, session.connection.ping()).await {
            Ok(Ok(())) => {
                session.answered = Instant::now();
                Some(session)
            }
            Ok(Err(error)) => {
                tracing::debug!(error = %error.told(), "an idle connection is lost");
                None
            }
            Err(_) => {
                tracing::debug!("an idle connection does not answer within {PING:?}");
                None
            }
        }
    }

    /// Its statement was answered: the session goes back into the pool.
    pub(super) fn give_back(&self, lent: Lent, began: Instant) {
        self.access.answered(began.elapsed());
        self.keep(lent);
    }

    /// Its statement failed: the session goes back or is closed, as the error asks for.
    pub(super) fn failed(&self, lent: Lent, began: Instant, error: &sqlx::Error, in_transaction: bool) {
        let remedy = Remedy::of(error);
        let now = Instant::now();
        match remedy {
            Remedy::SessionLost => {
                self.access.lost();
                self.state().doubted = now;
            }
            Remedy::NewSession => {
                tracing::debug!(error = %error.told(), "sessions that are as old as this one are not used again");
                self.access.answered(began.elapsed());
                self.state().retired = now;
                if self.connector.source.wants_to_write() && is(error, READ_ONLY) {
                    self.connector.left.tell();
                }
            }
            _ => self.access.answered(began.elapsed()),
        }
        // A transaction ends with its session.
        if !remedy.ends_session() && !in_transaction {
            self.keep(lent);
        }
    }

    fn keep(&self, lent: Lent) {
        let Lent { mut session, _place: place } = lent;
        session.answered = Instant::now();
        let mut state = self.state();
        if self.closed.load(Ordering::Acquire) || session.opened < state.retired {
            return;
        }
        state.idle.push(session);
        // The least recently used sessions are at the bottom.
        let superfluous =
            self.open.load(Ordering::Acquire) > self.least.max(1) && state.idle[0].answered.elapsed() > IDLE;
        let old = superfluous.then(|| state.idle.remove(0));
        drop(state);
        drop((old, place));
        self.given_back.notify_one();
    }

    /// Sessions in use are closed when they are given back.
    pub(super) async fn close(&self) {
        self.closed.store(true, Ordering::Release);
        self.places.close();
        let idle = std::mem::take(&mut self.state().idle);
        let farewells = idle.into_iter().map(|session| session.connection.close());
        let _ = timeout(FAREWELL, futures_util::future::join_all(farewells)).await;
    }
}
