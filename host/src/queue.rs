//! The queue in PostgreSQL: every statement about jobs is in this module, one function per transition. A worker has a [`Queue`], a
//! command that looks or changes something by hand an [`Operator`].
//!
//! Each write after a claim is fenced: it names the claim's owner, so that a job which another worker has taken over is left alone.
//! Knows nothing of wasm.

mod access;
mod additions;
mod attempt;
mod body;
mod cancel;
mod claim;
mod connection;
mod database;
mod depth;
mod dsn;
mod due;
mod enqueue;
mod fleet;
mod front;
mod handover;
mod heartbeat;
mod inspect;
mod judgements;
mod listener;
mod looks;
mod operator;
mod outcome;
mod pool;
mod presence;
mod requeue;
mod rescue;
mod schedules;
mod seats;
mod server_version;
mod session;
mod sessions;
mod source;
mod sqlstate;
mod statements;
mod statistics;
mod suspect;
mod text;
mod times;
mod timetable;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch::{Receiver, Sender};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

pub use access::Access;
pub use additions::Lacking;
pub use attempt::Attempt;
pub use body::Body;
pub use cancel::{Cancel, CancelOutcome};
pub use claim::{Claimed, Limited};
pub use connection::{connect, connect_options, in_time, pool_size};
pub use database::{ConnectError, Connected, Database, ListenFrom};
pub use depth::Depth;
pub use enqueue::{EnqueueError, OnConflict, Placed};
pub use fleet::{FleetCommand, FleetFile, HostRow, JOINED, PluginVersion};
pub use handover::HandedOver;
pub use inspect::{ActiveWorker, Backlog, HeldJob, StaleJob};
pub use listener::{Event, Listener, listen};
pub use operator::Operator;
pub use outcome::Record;
pub use pool::Pool;
pub use requeue::{Requeue, RequeueOutcome};
pub use rescue::{Overdue, RescueRule, Rescued};
pub use schedules::{Fired, ScheduleKey, ScheduleRow, Tick};
pub use server_version::{NEWEST_SERVER, OLDEST_SERVER, ServerTooOld, check_server};
pub(crate) use session::AS_BYTES;
pub use source::Source;
pub use sqlstate::Remedy;
pub use statistics::Counted;
pub use timetable::{ListedSchedule, RemovedSchedule};
pub use watch::Watch;

use crate::byte_budget::ByteBudget;
use crate::names::Names;
use statements::Statements;

/// The queue as one worker, under its own id, sees it.
#[derive(Debug, Clone)]
pub struct Queue {
    pool: Pool,
    names: Arc<Names>,
    me: Uuid,
    sql: Arc<Statements>,
    front: Arc<front::Front>,
    looks: Arc<looks::Looks>,
    seats: Arc<seats::Seats>,
    tallied: Arc<Notify>,
    unannounced: Arc<Sender<u64>>,
    bytes: ByteBudget,
    charset: text::Charset,
}

impl Queue {
    /// The queue of these names, worked on under a new id.
    pub fn new(pool: impl Into<Pool>, names: Names) -> Queue {
        Queue::of_worker(pool, names, Uuid::new_v4())
    }

    /// The queue of these names, worked on under this id.
    pub fn of_worker(pool: impl Into<Pool>, names: Names, me: Uuid) -> Queue {
        let sql = Statements::render(&names, Lacking::default());
        Queue {
            pool: pool.into(),
            names: Arc::new(names),
            me,
            sql: Arc::new(sql),
            front: Arc::default(),
            looks: Arc::default(),
            seats: Arc::default(),
            tallied: Arc::default(),
            unannounced: Arc::default(),
            bytes: ByteBudget::default(),
            charset: text::Charset::default(),
        }
    }

    /// The same queue; claimed jobs are held within this budget.
    pub fn within(self, bytes: ByteBudget) -> Queue {
        Queue { bytes, ..self }
    }

    /// The same queue; what is written is made to fit this database's encoding.
    pub async fn fitted(self) -> sqlx::Result<Queue> {
        let encoding: String = sqlx::query_scalar("SELECT current_setting('server_encoding')").fetch_one(&self.pool).await?;
        Ok(Queue { charset: text::Charset::of(&encoding), ..self })
    }

    /// This worker's id: `queue_manager_id` on every row that it holds.
    pub fn me(&self) -> Uuid {
        self.me
    }

    /// This worker's part in watching the others. Those that are gone come over the channel.
    pub fn watch(&self, lost: mpsc::Sender<Uuid>) -> Watch {
        Watch::new(self.me, self.sql.look.clone(), lost, Arc::clone(&self.unannounced))
    }

    /// Changes whenever this worker finds that it is not announced (any more): the tables are new, or somebody cleared it away.
    pub fn unannounced(&self) -> Receiver<u64> {
        self.unannounced.subscribe()
    }

    /// The names it works with.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The connections it works with.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Since when its way to the database is good.
    pub fn access(&self) -> &Access {
        self.pool.access()
    }
}

/// As an interval for a statement to add to `now()` or to take from it. PostgreSQL's times end 2,700 years before the year 1: a
/// thousand years either way can always be said.
fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.min(crate::job::MAX_DELAY).as_millis()).unwrap_or(i64::MAX)
}
