//! The sessions of a host's handlers: as many as it may have, opened when a run needs one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;

use super::address::{self, Address};
use super::elsewhere::Elsewhere;
use super::failure::{connection_lost, database};
use super::metered::Meter;
use super::session::Session;
use pgq_engine::SqlGrant;
use pgq_engine::sql::{ErrorKind, SqlError};
use pgq_queue::told::Told as _;
use pgq_queue::{CommitState, Queue};

/// How many sessions a host has for its handlers unless it is told otherwise.
pub const DEFAULT_SESSIONS: usize = 10;
/// An idle session is closed after this long.
const IDLE: Duration = Duration::from_secs(30);
/// How often, and how long apart, a session that goes on is ended.
const ENDS: u32 = 30;
const PAUSE: Duration = Duration::from_secs(1);

/// Whether the role of this session can do more than its database lets it, in a session whose
/// `search_path` may be anything.
const REACHES_PAST: &str = "SELECT rolsuper OR rolcreaterole OR pg_catalog.pg_has_role(rolname, 'pg_execute_server_program', 'MEMBER') \
    OR pg_catalog.pg_has_role(rolname, 'pg_read_server_files', 'MEMBER') OR pg_catalog.pg_has_role(rolname, 'pg_write_server_files', 'MEMBER') \
    FROM pg_catalog.pg_roles WHERE rolname OPERATOR(pg_catalog.=) SESSION_USER";

/// No row: it is gone.
const END_OWN: &str = "SELECT pg_catalog.pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity \
    WHERE pid OPERATOR(pg_catalog.=) $1 AND usename OPERATOR(pg_catalog.=) SESSION_USER";

/// Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Shared>);

struct Shared {
    queue: Queue,
    /// `None` where no session is our own.
    address: Option<Address>,
    /// Where sessions live: not on the threads of guests.
    control: Handle,
    permits: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sessions").field("free", &self.0.permits.available_permits()).finish_non_exhaustive()
    }
}

impl Sessions {
    /// To be called on the control runtime. `most`: sessions at once.
    pub fn new(queue: Queue, address: Option<Address>, most: usize) -> Sessions {
        Sessions(Arc::new(Shared {
            queue,
            address,
            control: Handle::current(),
            permits: Arc::new(Semaphore::new(most)),
            idle: Mutex::default(),
        }))
    }

    pub(super) fn control(&self) -> &Handle {
        &self.0.control
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.0.queue
    }

    fn idle(&self) -> std::sync::MutexGuard<'_, Vec<Session>> {
        self.0.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A session of this role. Waits while all are in use.
    pub(super) async fn acquire(
        &self,
        grant: &SqlGrant,
        authorities: Option<&Arc<ClientConfig>>,
    ) -> Result<Session, SqlError> {
        let permit = Arc::clone(&self.0.permits).acquire_owned().await.map_err(|error| connection_lost(&error))?;
        let found = {
            // The queue's own sessions have left their server: so do these.
            let retired = self.0.queue.pool().retired().into_std();
            let mut idle = self.idle();
            idle.retain(|session| session.is_good() && session.opened >= retired);
            idle.iter().position(|session| session.fits(grant)).map(|place| idle.swap_remove(place))
        };
        if let Some(session) = found {
            return Ok(session.with(permit));
        }
        Ok(self.open(grant, authorities).await?.with(permit))
    }

    async fn open(&self, grant: &SqlGrant, authorities: Option<&Arc<ClientConfig>>) -> Result<Session, SqlError> {
        if let Some(dsn) = &grant.elsewhere {
            return self.open_elsewhere(dsn, grant, authorities).await;
        }
        let Some(address) = &self.0.address else {
            return Err(refused(
                "the host reaches the database through a pooler in transaction mode, and a run needs a session of its \
                 own: set --listen-dsn (PGQ_HOST_LISTEN_DSN) to an address of the server itself",
            ));
        };
        if !self.0.queue.has_handlers() {
            return Err(refused(
                "the database is that of an earlier release: `pgq-host upgrade`, then a restart of this host",
            ));
        }
        let role = self.0.queue.handler_role(&grant.role).await.map_err(|error| connection_lost(&error.told()))?;
        if !role.wrong.is_empty() {
            let why = format!(
                "the role {:?} cannot be that of handlers: {}; `pgq-host grant WORKER --handler {0} --apply` gives it what \
                 it needs, and no more",
                grant.role,
                role.wrong.join("; ")
            );
            tracing::warn!(role = grant.role, "{why}");
            return Err(refused(why));
        }
        let meter = Meter::new();
        let connected = address.connect(grant, authorities, &meter).await?;
        Ok(Session::new(connected, meter, grant.clone(), role.schema.or_else(|| Some(String::new())), &self.0.control))
    }

    /// A role that can reach past its database is refused, though only after it has logged in.
    async fn open_elsewhere(
        &self,
        dsn: &str,
        grant: &SqlGrant,
        authorities: Option<&Arc<ClientConfig>>,
    ) -> Result<Session, SqlError> {
        let elsewhere = Elsewhere::read(dsn).map_err(refused)?;
        let meter = Meter::new();
        let connected = address::connect_elsewhere(elsewhere, grant, authorities, &meter).await?;
        let session = Session::new(connected, meter, grant.clone(), None, &self.0.control);
        let asked = tokio::time::timeout(PAUSE * ENDS, session.client.query_one(REACHES_PAST, &[])).await;
        let row = asked.map_err(|_| connection_lost(&"no answer in time"))?.map_err(|error| database(&error))?;
        if row.get(0) {
            let why = format!(
                "the role {:?} of {dsn} cannot be that of handlers: it is a superuser, may create roles, or may reach files or \
                 programs of the server",
                grant.role
            );
            tracing::warn!(role = grant.role, "{why}");
            return Err(refused(why));
        }
        Ok(session)
    }

    /// Take a session back whose transaction is over.
    pub(super) async fn give_back(&self, session: Session) {
        if let Some(session) = session.cleaned().await {
            let mut idle = self.idle();
            idle.retain(Session::is_good);
            idle.push(session);
            drop(idle);
            let sessions = Arc::downgrade(&self.0);
            self.0.control.spawn(async move {
                tokio::time::sleep(IDLE).await;
                if let Some(shared) = sessions.upgrade() {
                    // The oldest has been idle the longest.
                    let mut idle = shared.idle.lock().unwrap_or_else(PoisonError::into_inner);
                    if !idle.is_empty() {
                        drop(idle.remove(0));
                    }
                }
            });
        }
    }

    /// End a session that may still be at work, and that nobody waits for: ask it first, then have
    /// the server do it. Its place is free when it is gone.
    pub(super) async fn end(&self, session: Session, pid: i32, authorities: Option<&Arc<ClientConfig>>) {
        if let Some(dsn) = &session.grant.elsewhere {
            return self.end_elsewhere(&session, dsn, pid, authorities).await;
        }
        let (token, role) = (session.client.cancel_token(), session.grant.role.clone());
        session.way.cancel(&token).await;
        for turn in 0..ENDS {
            match self.0.queue.end_handler(pid, &role).await {
                Ok(false) => return,
                Ok(true) => {}
                Err(error) if turn == 0 => {
                    tracing::warn!(role, pid, error = %error.told(), "cannot end a session of a handler that went on after its run; grant its role to the host's, as `pgq-host grant WORKER --handler ROLE` does");
                    session.way.cancel(&token).await;
                }
                Err(_) => session.way.cancel(&token).await,
            }
            self.0.queue.access().pause(PAUSE).await;
        }
        tracing::error!(role, pid, "a session of a handler goes on after its run; end it with pg_terminate_backend");
    }

    /// The host has no session of its own there. A role may end its own sessions, so another one of
    /// it does.
    async fn end_elsewhere(&self, session: &Session, dsn: &str, pid: i32, authorities: Option<&Arc<ClientConfig>>) {
        let (token, role) = (session.client.cancel_token(), &session.grant.role);
        session.way.cancel(&token).await;
        for _ in 0..ENDS {
            let ending = async {
                let other = self.open_elsewhere(dsn, &session.grant, authorities).await?;
                other.client.query(END_OWN, &[&pid]).await.map_err(|error| database(&error))
            };
            match tokio::time::timeout(PAUSE * ENDS, ending).await {
                Ok(Ok(ended)) if ended.is_empty() => return,
                Ok(Ok(_)) => {}
                Ok(Err(error)) => {
                    tracing::debug!(
                        role,
                        pid,
                        error = error.message,
                        "cannot end a session of a handler in another database"
                    );
                    session.way.cancel(&token).await;
                }
                Err(_) => session.way.cancel(&token).await,
            }
            self.0.queue.access().pause(PAUSE).await;
        }
        tracing::error!(
            role,
            pid,
            "a session of a handler in another database goes on after its run; end it with pg_terminate_backend"
        );
    }

    /// What became of a commit whose answer was lost.
    pub(super) async fn what_became_of(&self, transaction: &str) -> Option<bool> {
        for _ in 0..ENDS {
            match self.0.queue.handler_commit(transaction).await {
                Ok(CommitState::Committed) => return Some(true),
                Ok(CommitState::Aborted) => return Some(false),
                Ok(CommitState::Undecided) => {}
                Err(error) => tracing::debug!(error = %error.told(), "cannot ask what became of a handler's commit"),
            }
            self.0.queue.access().pause(PAUSE).await;
        }
        None
    }
}

fn refused(why: impl Into<String>) -> SqlError {
    SqlError::new(ErrorKind::Refused, why)
}
