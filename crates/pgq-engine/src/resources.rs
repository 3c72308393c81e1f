//! The data behind the handles of `pgq:plugin`: the types that the generated bindings use for its
//! resources.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::control::Control;
use super::declaration::Declaration;
use super::sql_error::SqlError;
use pgq_job::{EntrypointOptions, Job, NewJob};

/// What a header's entry in its map takes.
pub(super) const HEADER_BYTES: usize = 64;

/// The resource `job`. The guest owns the handles of a batch. Those that it keeps after the call no
/// longer refer to a job.
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct JobHandle(Option<CurrentJob>);

/// A job of the current call.
pub(super) struct CurrentJob {
    pub(super) job: Arc<Job>,
    pub(super) control: Arc<Control>,
    pub(super) max_attempts: u32,
}

impl JobHandle {
    pub(super) fn new(job: CurrentJob) -> JobHandle {
        JobHandle(Some(job))
    }

    pub(super) fn current(&self) -> wasmtime::Result<&CurrentJob> {
        self.0.as_ref().ok_or_else(|| wasmtime::Error::msg("the call that this job belonged to is over"))
    }

    pub(super) fn end(&mut self) {
        self.0 = None;
    }
}

/// The resource `registrar`. The entrypoint handles write into the same declaration.
#[derive(Debug, Clone, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Registrar(Arc<Mutex<Declaration>>);

impl Registrar {
    pub(super) fn lock(&self) -> MutexGuard<'_, Declaration> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The resource `entrypoint`.
#[derive(Debug, Clone)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct EntrypointHandle {
    pub(super) registrar: Registrar,
    pub(super) name: String,
}

impl EntrypointHandle {
    /// How many bytes the host holds for the handle alone.
    pub(super) fn bytes(&self) -> usize {
        self.name.len()
    }

    /// Set an option. An invalid value is recorded as a mistake of the declaration.
    pub(super) fn set(&self, set: impl FnOnce(&mut EntrypointOptions) -> Result<(), String>) {
        let mut declaration = self.registrar.lock();
        if let Some(options) = declaration.entrypoints.get_mut(&self.name)
            && let Err(mistake) = set(options)
        {
            declaration.mistake(format!("entrypoint {:?}: {mistake}", self.name));
        }
    }
}

/// The resource `request`: a job that is not enqueued yet.
#[derive(Debug, Clone, Default)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Request {
    pub(super) job: NewJob,
    /// The call of the store in which it was created.
    pub(super) call: u64,
}

impl Request {
    /// How many bytes the host holds for it.
    pub(super) fn bytes(&self) -> usize {
        let NewJob { entrypoint, payload, dedupe_key, headers, .. } = &self.job;
        let header = |(name, value): (&String, &serde_json::Value)| {
            name.len() + value.as_str().map_or(0, str::len) + HEADER_BYTES
        };
        let headers: usize = headers.iter().flatten().map(header).sum();
        payload.as_ref().map_or(0, Vec::len) + entrypoint.len() + dedupe_key.as_ref().map_or(0, String::len) + headers
    }
}

/// The resource `cursor` of `sql`.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct CursorHandle {
    pub(super) id: u64,
    /// The call of the store in which it was opened.
    pub(super) call: u64,
    /// Names and types.
    pub(super) columns: Vec<(String, String)>,
    /// Bytes of rows that are there before the guest asked for them.
    pub(super) held: usize,
}

impl CursorHandle {
    /// How many bytes the host holds for it.
    pub(super) fn bytes(&self) -> usize {
        let columns = self.columns.iter().map(|(name, type_name)| name.len() + type_name.len() + HEADER_BYTES);
        self.held + columns.sum::<usize>()
    }
}

/// The resource `savepoint` of `sql`.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct SavepointHandle {
    pub(super) id: u64,
    /// The call of the store in which it was set.
    pub(super) call: u64,
    /// It was released or rolled back.
    pub(super) over: bool,
}

/// The resource `error` of `sql`.
#[derive(Debug)]
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct SqlErrorHandle(pub(super) SqlError);
