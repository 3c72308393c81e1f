//! Calls `describe.register` in an instance without any capability. The call runs on a separate
//! thread, which is abandoned if it does not return.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use wasmtime::component::Resource;

use super::bindings::Plugin;
use super::control::{Controls, StopCause};
use super::declaration::Declaration;
use super::engine::Engine;
use super::grants::Grants;
use super::limits::RunLimits;
use super::linked_component::LinkedComponent;
use super::load_error::LoadError;
use super::log_context::LogContext;
use super::outbox::Outbox;
use super::resources::Registrar;
use super::room::RoomShare;
use super::sql_host::SqlAccess;
use super::state::{Call, State, StoreSpec};
use super::trap;
use crate::printable::{cut, printable};
use pgq_job::{FaultKind, Verdict};

/// The time limit for the guest, which has nothing to wait for.
const TIMEOUT: Duration = Duration::from_secs(1);
/// The guest itself ends after `TIMEOUT`. This limit is for the host's work on its behalf, on an
/// overloaded machine.
const HOST_TIMEOUT: Duration = Duration::from_secs(30);
const MEMORY: usize = 256 << 20;
/// The most bytes it may return: an error message.
const RETURNS: usize = 64 << 10;

/// Call it. This returns whatever the guest does.
pub(super) async fn describe(
    engine: &Engine,
    linked: &Arc<LinkedComponent>,
    stem: &str,
) -> Result<Declaration, LoadError> {
    let _permit = engine.describes().acquire().await;
    let (engine, linked, stem) = (engine.clone(), Arc::clone(linked), stem.to_owned());
    let (sender, described) = oneshot::channel();
    let call = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let described = match runtime {
            Ok(runtime) => runtime.block_on(register(&engine, &linked, &stem)),
            Err(error) => Err(LoadError::NotDescribed(format!("no thread could be started for it: {error}"))),
        };
        let _ = sender.send(described);
    };
    thread::Builder::new()
        .name("pgq-describe".into())
        .spawn(call)
        .map_err(|error| LoadError::NotDescribed(format!("no thread could be started for it: {error}")))?;
    match tokio::time::timeout(HOST_TIMEOUT, described).await {
        Ok(Ok(described)) => described,
        Ok(Err(_panic)) => Err(LoadError::NotDescribed("the host panicked while it ran".into())),
        Err(_) => Err(LoadError::NotDescribed(format!("it did not return within {HOST_TIMEOUT:?}, and was abandoned"))),
    }
}

async fn register(engine: &Engine, linked: &LinkedComponent, stem: &str) -> Result<Declaration, LoadError> {
    let _ticking = engine.running();
    let limits = RunLimits { timeout: TIMEOUT, memory: MEMORY, max_attempts: 1 };
    let deadline = Instant::now() + limits.timeout;
    let mut store = State::store(
        engine.inner(),
        engine.settings(),
        StoreSpec {
            grants: Arc::new(Grants::default()),
            memory: limits.memory,
            // Not part of the memory that runs share: a host whose memory is in use can still load
            // plugins.
            share: RoomShare::alone(limits.memory),
            folders: None,
            returns: RETURNS,
            call: Call {
                log_context: LogContext {
                    plugin: stem.into(),
                    entrypoint: "describe".into(),
                    job: 0,
                    batch: None,
                    kept: 0,
                    trace: None,
                    hits: Arc::default(),
                },
                controls: Controls::default(),
                deadline,
                outbox: Outbox::closed("jobs can only be enqueued from a handler"),
                sql: SqlAccess::Closed("statements can only be run from a handler"),
                trace: None,
            },
        },
    );
    let registrar = Registrar::default();
    let call = async {
        let instance = linked.pre().instantiate_async(&mut store).await?;
        // Only this compares the types of the exports. A mismatch is better found now than at the
        // first job.
        let plugin = Plugin::new(&mut store, &instance)?;
        linked.batch.as_ref().map(|batch| batch.load(&mut store, &instance)).transpose()?;
        let handle = store.data_mut().table.push(registrar.clone())?;
        plugin.pgq_plugin_describe().call_register(&mut store, Resource::new_borrow(handle.rep())).await
    };
    let called = match tokio::time::timeout_at(deadline.into(), call).await {
        Ok(called) => called,
        Err(_) => Err(StopCause::Deadline.into()),
    };
    store.data().finish_streams();
    match called {
        Ok(Ok(())) => {}
        Ok(Err(message)) => {
            return Err(LoadError::Describe(printable(cut(&message, 1 << 10)).into_owned()));
        }
        Err(error) => {
            return Err(match trap::verdict(&error, store.data(), &limits) {
                Verdict::Retry { fault, .. } => {
                    let said = format!("{}: {}", fault.kind.name(), printable(&fault.message));
                    // If the host failed, or was too slow, that says nothing about the file.
                    let is_transient = matches!(fault.kind, FaultKind::DeadlineExceeded | FaultKind::HostError);
                    if is_transient { LoadError::NotDescribed(said) } else { LoadError::Describe(said) }
                }
                Verdict::Release(reason) => LoadError::NotDescribed(reason.to_string()),
                other => LoadError::Describe(format!("{other:?}")),
            });
        }
    }
    let mut declaration = registrar.lock().clone();
    declaration.check_batches(linked.batch.is_some());
    if declaration.entrypoints.is_empty() {
        declaration.mistakes.push("it declares no entrypoint".into());
    }
    if declaration.mistakes.is_empty() {
        Ok(declaration)
    } else {
        Err(LoadError::Declaration(printable(&declaration.mistakes.join("; ")).into_owned()))
    }
}
