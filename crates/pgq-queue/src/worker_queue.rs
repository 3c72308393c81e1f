//! The queue as one worker sees it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use sqlx::SqlStr;
use tokio::sync::watch::{Receiver, Sender};
use tokio::sync::{Notify, mpsc};
use uuid::Uuid;

use super::claim_cursor::ClaimCursor;
use super::expiry_scan::ExpiryScans;
use super::handler_functions::{Function, name};
use super::handler_key::HandlerKey;
use super::history::{CurrentHistory, History};
use super::lock_rest::LockRest;
use super::slots::Slots;
use super::statements::Statements;
use super::text::Charset;
use super::{Access, FailureDetector, Pool, SchemaFeatures};
use crate::byte_budget::ByteBudget;
use crate::names::Names;

/// Where nobody sets a budget: the memory that a small container has.
const ASSUMED_MEMORY: u64 = 2 << 30;

/// Cheap to clone. All clones share the worker's id and what it remembers between statements.
#[derive(Debug, Clone)]
pub struct Queue {
    pub(super) pool: Pool,
    pub(super) names: Arc<Names>,
    pub(super) me: Uuid,
    pub(super) sql: Arc<Statements>,
    pub(super) cursor: Arc<ClaimCursor>,
    pub(super) lock_cursor: Arc<ClaimCursor>,
    pub(super) lock_rest: Arc<LockRest>,
    pub(super) history: Arc<CurrentHistory>,
    pub(super) expiry_scans: Arc<ExpiryScans>,
    pub(super) slots: Arc<Slots>,
    pub(super) tallied: Arc<Notify>,
    pub(super) failed: Arc<Notify>,
    pub(super) unannounced: Arc<Sender<u64>>,
    pub(super) stirs: Arc<Sender<u64>>,
    events: Arc<AtomicU64>,
    pub(super) bytes: ByteBudget,
    pub(super) charset: Charset,
    pub(super) handler_key: HandlerKey,
    /// Names of the functions that record outcomes in sessions of handlers.
    handler_functions: Arc<OnceLock<[String; 2]>>,
}

impl Queue {
    /// A worker with a new id.
    pub fn new(pool: impl Into<Pool>, names: Names) -> Queue {
        Queue::of_worker(pool, names, Uuid::new_v4())
    }

    /// The worker with this id.
    pub fn of_worker(pool: impl Into<Pool>, names: Names, me: Uuid) -> Queue {
        let sql = Statements::render(&names, SchemaFeatures::ALL);
        Queue {
            pool: pool.into(),
            names: Arc::new(names),
            me,
            sql: Arc::new(sql),
            cursor: Arc::default(),
            lock_cursor: Arc::default(),
            lock_rest: Arc::default(),
            history: Arc::default(),
            expiry_scans: Arc::default(),
            slots: Arc::default(),
            tallied: Arc::default(),
            failed: Arc::default(),
            unannounced: Arc::default(),
            stirs: Arc::default(),
            events: Arc::default(),
            bytes: ByteBudget::new(ASSUMED_MEMORY / 8, ASSUMED_MEMORY),
            charset: Charset::default(),
            handler_key: HandlerKey::draw(),
            handler_functions: Arc::default(),
        }
    }

    /// Bound the bytes of claimed jobs by this budget.
    pub fn within(self, bytes: ByteBudget) -> Queue {
        Queue { bytes, ..self }
    }

    /// Make the host's texts fit the encoding of the database.
    pub async fn fitted(self) -> sqlx::Result<Queue> {
        let encoding: String =
            sqlx::query_scalar("SELECT current_setting('server_encoding')").fetch_one(&self.pool).await?;
        Ok(Queue { charset: Charset::of(&encoding), ..self })
    }

    /// Which additions to the schema the database has.
    pub async fn schema_features(&self) -> sqlx::Result<SchemaFeatures> {
        sqlx::query_as(self.sql.schema_features.clone()).fetch_one(&self.pool).await
    }

    /// Use these additions to the schema and no others.
    pub fn with_features(self, features: SchemaFeatures) -> Queue {
        Queue { sql: Arc::new(Statements::render(&self.names, features)), ..self }
    }

    /// From now on, keep this much of the jobs of each entrypoint. On a database that does not count
    /// what hosts write, everything is logged: the statistics are made of the log there.
    pub fn keep_history(&self, history: History) {
        if self.sql.features.tally {
            self.history.set(history);
        }
    }

    /// The name of this function, bare.
    pub(super) fn handler_function(&self, function: Function) -> &str {
        let names = self.handler_functions.get_or_init(|| Function::ALL.map(|function| name(&self.names, function)));
        &names[function as usize]
    }

    /// This worker's id: `queue_manager_id` on every row that it holds.
    pub fn me(&self) -> Uuid {
        self.me
    }

    /// This worker's part in watching the others. Workers that are gone are sent over the channel.
    pub fn watch(&self, lost: mpsc::Sender<Uuid>) -> FailureDetector {
        let (sql, unannounced) = (self.sql.find_gone_workers.clone(), Arc::clone(&self.unannounced));
        FailureDetector::new(self.me, sql, lost, unannounced, self.stirs.subscribe())
    }

    /// An event of the queue came, or its listener was lost or is back.
    pub fn hear(&self) {
        self.events.fetch_add(1, Ordering::Relaxed);
    }

    /// How many came since the start: as long as it is the same, hardly anybody works.
    pub fn events(&self) -> u64 {
        self.events.load(Ordering::Relaxed)
    }

    /// Workers may hold jobs of which no notification came: one was due only later, or is held by
    /// somebody. Those who watch the others no longer rest.
    pub fn stir(&self) {
        self.stirs.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// The statement that finds out which jobs are cancelled.
    pub fn cancelled(&self) -> SqlStr {
        self.sql.cancelled.clone()
    }

    /// Changes whenever this worker finds that it is not announced: the tables are new, or its row
    /// was deleted.
    pub fn unannounced(&self) -> Receiver<u64> {
        self.unannounced.subscribe()
    }

    pub fn names(&self) -> &Names {
        &self.names
    }

    pub fn pool(&self) -> &Pool {
        &self.pool
    }

    /// The bytes of claimed jobs that are counted, and how many there may be.
    pub fn claimed_bytes(&self) -> (u64, u64) {
        self.bytes.use_of()
    }

    /// How long the database has answered without a break.
    pub fn access(&self) -> &Access {
        self.pool.access()
    }
}
