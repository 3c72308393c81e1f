//! What one instance sees of the world. Made for one run and dropped with it, or renewed for the next.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::{HasSelf, Linker, ResourceTable};
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::bindings;
use super::border::{ARGUMENT_BYTES, Border};
use super::control::Controls;
use super::denials::Denials;
use super::engine::Engine;
use super::enqueue_host::{self, Outbox};
use super::files_host;
use super::grants::Grants;
use super::http_hooks::HttpHooks;
use super::limits::Limits;
use super::log_host::{LogContext, LogSink};
use super::room::Share;
use super::stdio::LineStream;

/// Resources (streams, requests, ...) that a guest may hold at once.
const MAX_HANDLES: usize = 10_000;
/// Bytes of randomness in one call.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

pub(super) struct State {
    pub(super) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    hooks: HttpHooks,
    pub(super) grants: Arc<Grants>,
    pub(super) denials: Arc<Denials>,
    config: WasiConfigVariables,
    pub(super) limits: Limits,
    pub(super) log: LogSink,
    stdout: LineStream,
    stderr: LineStream,
    pub(super) outbox: Outbox,
    /// Places for its open files, among those of all guests.
    pub(super) files: Vec<OwnedSemaphorePermit>,
    /// Places for the folders that it was granted, which it has from the beginning.
    _folders: Option<OwnedSemaphorePermit>,
    /// Requests of jobs that the guest has a handle of.
    pub(super) requests: usize,
    pub(super) controls: Controls,
    pub(super) deadline: Instant,
    /// When others on its thread last had their turn.
    pub(super) turn_began: Instant,
    /// Bytes that a call may return.
    pub(super) returns: usize,
    /// Which call of this store it is.
    pub(super) calls: u64,
}

/// What differs between one store and the next.
pub(super) struct StoreSpec {
    pub(super) grants: Arc<Grants>,
    pub(super) memory: usize,
    pub(super) share: Share,
    /// For the folders that it is granted.
    pub(super) folders: Option<OwnedSemaphorePermit>,
    /// Bytes that a call may return.
    pub(super) returns: usize,
    pub(super) call: Call,
}

/// What differs between one call and the next in the same store.
pub(super) struct Call {
    pub(super) log_context: LogContext,
    pub(super) controls: Controls,
    pub(super) deadline: Instant,
    pub(super) outbox: Outbox,
}

impl State {
    /// A store with every limit set. There is no other way to make one.
    pub(super) fn store(engine: &Engine, spec: StoreSpec) -> Store<State> {
        let StoreSpec { grants, memory, share, folders, returns, call } = spec;
        let Call { log_context, controls, deadline, outbox } = call;
        let denials = Denials::new(log_context.clone());
        let log = LogSink::new(log_context);
        let (stdout, stderr) = (LineStream::new("stdout", log.clone()), LineStream::new("stderr", log.clone()));
        let mut table = ResourceTable::new();
        table.set_max_capacity(MAX_HANDLES);
        let state = State {
            table,
            wasi: wasi(&grants, &stdout, &stderr),
            http: WasiHttpCtx::new(),
            config: grants.config.iter().map(|(key, value)| (key.as_str(), value.expose())).collect(),
            hooks: HttpHooks::new(Arc::clone(&grants), Arc::clone(&denials)),
            grants,
            denials,
            limits: Limits::new(memory.min(engine.settings().max_memory), share),
            log,
            stdout,
            stderr,
            outbox,
            files: Vec::new(),
            _folders: folders,
            requests: 0,
            controls,
            deadline,
            turn_began: Instant::now(),
            returns,
            calls: 0,
        };
        let mut store = Store::new(engine.inner(), state);
        // With those that a component makes for itself.
        store.set_max_component_handles(2 * MAX_HANDLES);
        // What the host holds counts as well, as of now.
        store.limiter(|state| {
            let _ = state.count();
            &mut state.limits
        });
        store.call_hook_async(Border);
        store.set_hostcall_fuel(ARGUMENT_BYTES);
        store.set_epoch_deadline(1);
        // Every tick the guest steps aside for the others on its thread; past its deadline, or once stopped, it ends here.
        store.epoch_deadline_callback(|mut context| {
            let (state, now) = (context.data_mut(), Instant::now());
            if let Some(cause) = state.has_to_end(now) {
                return Err(cause.into());
            }
            state.turn_began = now;
            Ok(wasmtime::UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }

    /// Make the store ready for one more call: all that is counted per call starts anew. What the guest holds (memory, handles) it
    /// still holds, and it still counts.
    pub(super) fn renew(store: &mut Store<State>, call: Call) {
        let Call { log_context, controls, deadline, outbox } = call;
        let state = store.data_mut();
        state.denials = Denials::new(log_context.clone());
        state.hooks.renew(Arc::clone(&state.denials));
        state.log.renew(log_context);
        (state.controls, state.deadline, state.outbox) = (controls, deadline, outbox);
        state.calls += 1;
        enqueue_host::forget(&mut state.table);
        store.set_epoch_deadline(1);
    }

    /// More HTTP requests were sent than a call may send.
    pub(super) fn http_is_full(&self) -> bool {
        self.hooks.is_full()
    }

    /// The call is over: log what it left unfinished.
    pub(super) fn finish_streams(&self) {
        self.stdout.finish();
        self.stderr.finish();
    }
}

/// No arguments, sockets or names, and no environment and folders but those granted: the builder grants nothing that is not asked for here.
fn wasi(grants: &Grants, stdout: &LineStream, stderr: &LineStream) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(stdout.clone()).stderr(stderr.clone()).max_random_size(MAX_RANDOM_BYTES);
    for (name, value) in &grants.env {
        builder.env(name, value.expose());
    }
    for (seen_as, folder) in &grants.directories {
        // It was there when the configuration was read. Without it the guest finds nothing, and says so in its own words.
        if let Err(error) = builder.preopened_dir(folder, seen_as, FsPerms::ReadOnly) {
            tracing::error!(folder = %folder.display(), error = %format!("{error:#}"), "a granted folder cannot be opened; put it back");
        }
    }
    builder.build()
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        WasiHttpCtxView { ctx: &mut self.http, table: &mut self.table, hooks: &mut self.hooks }
    }
}

/// Everything a component may import. What is not here makes it fail to load.
pub(super) fn linker(engine: &Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine.inner());
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, |state: &mut State| WasiConfig::from(&state.config))?;
    files_host::add_to_linker(&mut linker)?;
    bindings::Plugin::add_to_linker::<_, HasSelf<_>>(&mut linker, |state: &mut State| state)?;
    Ok(linker)
}
