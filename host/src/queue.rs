//! The queue in PostgreSQL: every statement about jobs is in this module, one function per transition. A worker has a [`Queue`], a
//! command that looks or changes something by hand an [`Operator`].
//!
//! Each write after a claim is fenced: it names the claim's owner, so that a job which another worker has taken over is left alone.
//! Knows nothing of wasm.

mod attempt;
mod cancel;
mod claim;
mod connection;
mod database;
mod depth;
mod enqueue;
mod fleet;
mod heartbeat;
mod inspect;
mod listener;
mod operator;
mod outcome;
mod pool;
mod presence;
mod requeue;
mod rescue;
mod schedules;
mod statistics;
mod timetable;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};
use tokio::sync::mpsc;
use uuid::Uuid;

pub use attempt::Attempt;
pub use cancel::{Cancel, CancelOutcome};
pub use claim::Limited;
pub use connection::{connect, connect_options, in_time, pool_size};
pub use database::{ConnectError, Connected, Database, ListenFrom};
pub use depth::Depth;
pub use enqueue::{EnqueueError, OnConflict, Placed};
pub use fleet::{FleetCommand, HostRow, PluginVersion};
pub use inspect::{ActiveWorker, Backlog, HeldJob, StaleJob};
pub use listener::{Event, Listener, listen};
pub use operator::Operator;
pub use outcome::{Disposition, Record, Terminal};
pub use pool::Pool;
pub use requeue::{Requeue, RequeueOutcome};
pub use rescue::{RescueRule, Rescued};
pub use schedules::{Fired, ScheduleKey, ScheduleRow, Tick};
pub use statistics::Counted;
pub use timetable::{ListedSchedule, RemovedSchedule};
pub use watch::Watch;

use crate::names::Names;

/// The queue as one worker, under its own id, sees it.
#[derive(Debug, Clone)]
pub struct Queue {
    pool: Pool,
    names: Arc<Names>,
    me: Uuid,
    sql: Arc<Statements>,
}

/// Rendered once from checked names. Cloning one is cheap.
#[derive(Debug)]
struct Statements {
    claim: SqlStr,
    claim_limited: SqlStr,
    next_due: SqlStr,
    work_left: SqlStr,
    heartbeat: SqlStr,
    any_lost: SqlStr,
    depth: SqlStr,
    rescue: SqlStr,
    rescue_from: SqlStr,
    announce: SqlStr,
    announce_presence: SqlStr,
    look: SqlStr,
    forget: SqlStr,
    withdraw: SqlStr,
    prune_attempts: SqlStr,
    finish: SqlStr,
    finish_with_extras: SqlStr,
    put_back: SqlStr,
    aggregate: SqlStr,
    enqueue: SqlStr,
    enqueue_or_skip: SqlStr,
    look_at_schedules: SqlStr,
    add_schedules: SqlStr,
    fire: SqlStr,
    enqueue_or_update: SqlStr,
}

impl Queue {
    /// The queue of these names, worked on under a new id.
    pub fn new(pool: impl Into<Pool>, names: Names) -> Queue {
        Queue::of_worker(pool, names, Uuid::new_v4())
    }

    /// The queue of these names, worked on under this id.
    pub fn of_worker(pool: impl Into<Pool>, names: Names, me: Uuid) -> Queue {
        let render = |template: &str| AssertSqlSafe(names.render(template)).into_sql_str();
        let outcome = |template: &str| template.replace("{ours}", outcome::OURS).replace("{attempted}", attempt::ATTEMPTED);
        let sql = Statements {
            claim: render(&claim::CLAIM.replace("{claimed}", claim::CLAIMED)),
            claim_limited: render(&claim::CLAIM_LIMITED.replace("{claimed}", claim::CLAIMED)),
            next_due: render(claim::NEXT_DUE),
            work_left: render(claim::WORK_LEFT),
            heartbeat: render(heartbeat::HEARTBEAT),
            any_lost: render(rescue::ANY_LOST),
            depth: render(depth::DEPTH),
            rescue: render(&rescue::rescue()),
            rescue_from: render(&rescue::rescue_from()),
            finish: render(&outcome(outcome::FINISH)),
            finish_with_extras: render(&outcome(outcome::FINISH_WITH_EXTRAS).replace("{on_conflict}", enqueue::SKIP)),
            put_back: render(&outcome(outcome::PUT_BACK)),
            announce: render(&fleet::announce(&names, false)),
            announce_presence: render(&fleet::announce(&names, true)),
            look: render(presence::LOOK),
            forget: render(presence::FORGET),
            withdraw: render(fleet::WITHDRAW),
            prune_attempts: render(attempt::PRUNE),
            aggregate: render(statistics::AGGREGATE),
            enqueue: render(&enqueue::ENQUEUE.replace("{on_conflict}", "")),
            enqueue_or_skip: render(&enqueue::ENQUEUE.replace("{on_conflict}", enqueue::SKIP)),
            look_at_schedules: render(schedules::LOOK),
            add_schedules: render(schedules::ADD),
            fire: render(schedules::FIRE),
            enqueue_or_update: render(enqueue::ENQUEUE_OR_UPDATE),
        };
        Queue { pool: pool.into(), names: Arc::new(names), me, sql: Arc::new(sql) }
    }

    /// This worker's id: `queue_manager_id` on every row that it holds.
    pub fn me(&self) -> Uuid {
        self.me
    }

    /// This worker's part in watching the others. Those that are gone come over the channel.
    pub fn watch(&self, lost: mpsc::Sender<Uuid>) -> Watch {
        Watch::new(self.me, self.sql.look.clone(), lost)
    }

    /// The names it works with.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The connections it works with.
    pub fn pool(&self) -> &Pool {
        &self.pool
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
