//! The queue in PostgreSQL: every statement that a running host sends is in this module, one function per transition.
//!
//! Each write after a claim is fenced: it names the claim's owner, so that a job which another worker has taken over is left alone.
//! Knows nothing of wasm.

mod claim;
mod enqueue;
mod heartbeat;
mod listener;
mod outcome;
mod rescue;
mod schedules;
mod statistics;

use std::str::FromStr as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, Executor as _, PgPool, SqlSafeStr as _, SqlStr};
use uuid::Uuid;

pub use claim::Limited;
pub use enqueue::{EnqueueError, OnConflict};
pub use listener::{Event, listen};
pub use outcome::{Disposition, Record, Terminal};
pub use rescue::{RescueRule, Rescued};
pub use schedules::{Fired, ScheduleKey, ScheduleRow, Tick};

use crate::names::Names;

/// The queue as one worker, under its own id, sees it.
#[derive(Debug, Clone)]
pub struct Queue {
    pool: PgPool,
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
    rescue: SqlStr,
    finish: SqlStr,
    finish_with_extras: SqlStr,
    put_back: SqlStr,
    aggregate: SqlStr,
    enqueue: SqlStr,
    enqueue_or_skip: SqlStr,
    look_at_schedules: SqlStr,
    add_schedules: SqlStr,
    fire: SqlStr,
}

impl Queue {
    /// The queue of these names, worked on under a new id.
    pub fn new(pool: PgPool, names: Names) -> Queue {
        let render = |template: &str| AssertSqlSafe(names.render(template)).into_sql_str();
        let sql = Statements {
            claim: render(&claim::CLAIM.replace("{claimed}", claim::CLAIMED)),
            claim_limited: render(&claim::CLAIM_LIMITED.replace("{claimed}", claim::CLAIMED)),
            next_due: render(claim::NEXT_DUE),
            work_left: render(claim::WORK_LEFT),
            heartbeat: render(heartbeat::HEARTBEAT),
            rescue: render(rescue::RESCUE),
            finish: render(&outcome::FINISH.replace("{fence}", outcome::FENCE)),
            finish_with_extras: render(
                &outcome::FINISH_WITH_EXTRAS.replace("{fence}", outcome::FENCE).replace("{on_conflict}", enqueue::SKIP),
            ),
            put_back: render(&outcome::PUT_BACK.replace("{fence}", outcome::FENCE)),
            aggregate: render(statistics::AGGREGATE),
            enqueue: render(&enqueue::ENQUEUE.replace("{on_conflict}", "")),
            enqueue_or_skip: render(&enqueue::ENQUEUE.replace("{on_conflict}", enqueue::SKIP)),
            look_at_schedules: render(schedules::LOOK),
            add_schedules: render(schedules::ADD),
            fire: render(schedules::FIRE),
        };
        Queue { pool, names: Arc::new(names), me: Uuid::new_v4(), sql: Arc::new(sql) }
    }

    /// This worker's id: `queue_manager_id` on every row that it holds.
    pub fn me(&self) -> Uuid {
        self.me
    }

    /// The names it works with.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// The connections it works with.
    pub fn pool(&self) -> &PgPool {
        &self.pool
    }
}

/// Where the database is.
///
/// Without a DSN, libpq's variables (`PGHOST`, `PGPORT`, `PGUSER`, `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`, `PGPASSFILE`, ...) say so,
/// and they fill in what a DSN leaves out.
pub fn connect_options(dsn: Option<&str>) -> Result<PgConnectOptions, String> {
    let options = match dsn {
        // Not the DSN itself: it may hold a password.
        // libpq takes `user@/database?host=/folder`, where the parser sees an empty host.
        Some(dsn) => PgConnectOptions::from_str(&dsn.replacen("@/", "@localhost/", 1))
            .map_err(|error| format!("the DSN cannot be read: {error}; write it like postgresql://user@host:5432/database"))?,
        None => PgConnectOptions::new(),
    };
    let name = std::env::var("PGQUEUER_APPLICATION_NAME").unwrap_or_else(|_| "pgq-host".into());
    Ok(options.application_name(&name))
}

/// Every statement here is written for one plan, of index look-ups; a queue table's statistics, true for the moment they were
/// taken, can only mislead the planner away from it (a claim that sorts the whole backlog: 50 ms against 1). And compiling such a
/// statement takes PostgreSQL longer than running it.
const PLANNER: &str = "SET jit = off; SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_sort = off";

/// A pool for one worker. A handful is enough: claims, outcomes, heartbeats and upkeep are one statement each.
pub async fn connect(options: PgConnectOptions) -> sqlx::Result<PgPool> {
    PgPoolOptions::new()
        .max_connections(5)
        .acquire_timeout(Duration::from_secs(10))
        .after_connect(|connection, _| {
            Box::pin(async move {
                connection.execute(PLANNER).await?;
                Ok(())
            })
        })
        .connect_with(options)
        .await
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
