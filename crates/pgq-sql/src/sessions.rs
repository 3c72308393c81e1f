//! The sessions of a host's handlers: as many as it may have, opened when a run needs one.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio_rustls::rustls::ClientConfig;

use super::address::Address;
use super::failure::connection_lost;
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
            let mut idle = self.idle();
            idle.retain(Session::is_good);
            idle.iter().position(|session| session.fits(grant)).map(|place| idle.swap_remove(place))
        };
        if let Some(session) = found {
            return Ok(session.with(permit));
        }
        Ok(self.open(grant, authorities).await?.with(permit))
    }

    async fn open(&self, grant: &SqlGrant, authorities: Option<&Arc<ClientConfig>>) -> Result<Session, SqlError> {
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
        let schema = role.schema.unwrap_or_default();
        Ok(Session::new(connected, meter, grant.clone(), schema, &self.0.control))
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
    pub(super) async fn end(&self, session: Session, pid: i32) {
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
