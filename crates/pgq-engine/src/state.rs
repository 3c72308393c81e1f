//! Everything an instance can access. It is created for one run and dropped with it, or renewed for
//! the next.
//!
//! The parts do not know each other, nor this type. Each interface gets a view of the parts of the
//! store that it needs (`linker`), and so does the border.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::OwnedSemaphorePermit;
use wasmtime::Store;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::clocks::WasiClocksView as _;
use wasmtime_wasi::filesystem::WasiFilesystemCtxView;
use wasmtime_wasi::{FsPerms, WasiCtx, WasiCtxBuilder, WasiCtxView, WasiView};
use wasmtime_wasi_config::WasiConfigVariables;
use wasmtime_wasi_http::{WasiHttpCtx, WasiHttpCtxView, WasiHttpView};

use super::border::{ARGUMENT_BYTES, BODY_BYTES, Border, BorderView, PAYLOAD_BYTES, STATEMENT_BYTES};
use super::clock_host::ClockView;
use super::control::Controls;
use super::denials::Denials;
use super::engine_settings::EngineSettings;
use super::enqueue_host::{EnqueueCtx, EnqueueView};
use super::failure_report::FailureReports;
use super::files_host::{FilesCtx, FilesView};
use super::grants::Grants;
use super::http_hooks::HttpHooks;
use super::http_host::{HttpCtx, HttpView};
use super::interrupt::Interrupt;
use super::jobs_host::JobsView;
use super::limits::Limits;
use super::log_context::LogContext;
use super::log_host::LogView;
use super::log_sink::LogSink;
use super::outbox::Outbox;
use super::registry_host::RegistryView;
use super::room::RoomShare;
use super::sql_host::{SqlAccess, SqlCtx, SqlView};
use super::stdio::LineStream;
use pgq_job::TracedCall;

/// Resources (streams, requests, ...) that a guest may hold at once.
const MAX_HANDLES: usize = 10_000;
/// The most random bytes per call.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

pub(super) struct State {
    pub(super) table: ResourceTable,
    wasi: WasiCtx,
    http: WasiHttpCtx,
    pub(super) hooks: HttpHooks,
    sending: HttpCtx,
    pub(super) config: WasiConfigVariables,
    files: FilesCtx,
    pub(super) enqueue: EnqueueCtx,
    sql: SqlCtx,
    pub(super) reports: FailureReports,
    grants: Arc<Grants>,
    denials: Arc<Denials>,
    pub(super) limits: Limits,
    pub(super) interrupt: Interrupt,
    pub(super) log: LogSink,
    stdout: LineStream,
    stderr: LineStream,
    /// The most bytes that a call may return.
    pub(super) returns: usize,
    /// Who is told of what the call does, if it is traced.
    pub(super) trace: Option<Arc<dyn TracedCall>>,
}

/// What differs between one store and the next.
pub(super) struct StoreSpec {
    pub(super) grants: Arc<Grants>,
    pub(super) memory: usize,
    pub(super) share: RoomShare,
    /// Permits for the granted folders.
    pub(super) folders: Option<OwnedSemaphorePermit>,
    /// The most bytes that a call may return.
    pub(super) returns: usize,
    pub(super) call: Call,
}

/// What differs between one call and the next in the same store.
pub(super) struct Call {
    pub(super) log_context: LogContext,
    pub(super) controls: Controls,
    pub(super) deadline: Instant,
    pub(super) outbox: Outbox,
    pub(super) sql: SqlAccess,
    pub(super) trace: Option<Arc<dyn TracedCall>>,
}

impl State {
    /// A store with all limits set. There is no other way to create one.
    pub(super) fn store(engine: &wasmtime::Engine, settings: &EngineSettings, spec: StoreSpec) -> Store<State> {
        let StoreSpec { grants, memory, share, folders, returns, call } = spec;
        let Call { log_context, controls, deadline, outbox, sql, trace } = call;
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
            hooks: HttpHooks::new(Arc::clone(&grants), Arc::clone(&denials), trace.clone()),
            sending: HttpCtx::default(),
            files: FilesCtx::new(grants.directories.len(), folders),
            enqueue: EnqueueCtx::new(outbox),
            sql: SqlCtx::new(sql),
            reports: FailureReports::default(),
            grants,
            denials,
            limits: Limits::new(memory.min(settings.max_memory), share),
            interrupt: Interrupt::new(controls, deadline),
            log,
            stdout,
            stderr,
            returns,
            trace,
        };
        let mut store = Store::new(engine, state);
        // Twice as many, because a component may create handles itself.
        store.set_max_component_handles(2 * MAX_HANDLES);
        // What the host holds now counts as well.
        store.limiter(|state| {
            let _ = state.border().count();
            &mut state.limits
        });
        store.call_hook_async(Border(State::border));
        store.set_hostcall_fuel(ARGUMENT_BYTES);
        store.set_epoch_deadline(1);
        // At every tick, the guest yields to the others on its thread. Past its deadline, or once
        // stopped, it ends here.
        store.epoch_deadline_callback(|mut context| {
            let (interrupt, now) = (&mut context.data_mut().interrupt, Instant::now());
            if let Some(cause) = interrupt.cause(now) {
                return Err(cause.into());
            }
            interrupt.begin_turn(now);
            Ok(wasmtime::UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
        });
        store
    }

    /// Prepare the store for one more call. Counters per call restart. What the guest still holds
    /// (memory, handles) still counts.
    pub(super) fn renew(store: &mut Store<State>, call: Call) {
        let Call { log_context, controls, deadline, outbox, sql, trace } = call;
        let state = store.data_mut();
        state.denials = Denials::new(log_context.clone());
        state.hooks.renew(Arc::clone(&state.denials), trace.clone());
        state.trace = trace;
        state.log.renew(log_context);
        state.interrupt.renew(controls, deadline);
        state.enqueue.renew(outbox, &mut state.table);
        state.sql.renew(sql);
        state.reports = FailureReports::default();
        store.set_epoch_deadline(1);
    }

    /// The call is over: log its unfinished lines.
    pub(super) fn finish_streams(&self) {
        self.stdout.finish();
        self.stderr.finish();
    }

    /// The call is over, and its transaction is the host's: an idle instance must not keep it open.
    pub(super) fn end_sql(&mut self) {
        self.sql.end();
    }

    /// The call is over: an idle instance must not keep its trace from being sent.
    pub(super) fn end_trace(&mut self) {
        self.hooks.end_trace();
        if let Some(trace) = self.trace.take() {
            trace.end();
        }
    }

    /// The most bytes that the next call of the host may pass.
    pub(super) fn argument_bytes(&self) -> usize {
        if self.enqueue.has_requests() {
            PAYLOAD_BYTES
        } else if self.sql.is_open() {
            STATEMENT_BYTES
        } else if self.sending.has_requests() {
            BODY_BYTES
        } else {
            ARGUMENT_BYTES
        }
    }

    fn border(&mut self) -> BorderView<'_> {
        BorderView {
            arguments: self.argument_bytes(),
            returns: self.returns,
            outbox: self.enqueue.outbox().bytes() + self.reports.bytes(),
            interrupt: &mut self.interrupt,
            limits: &mut self.limits,
            table: &mut self.table,
        }
    }
}

/// The interfaces' views of a store.
impl State {
    pub(super) fn files(&mut self) -> FilesView<'_> {
        FilesView {
            ctx: &mut self.files,
            wasi: WasiFilesystemCtxView { ctx: self.wasi.filesystem(), table: &mut self.table },
        }
    }

    pub(super) fn clock(&mut self) -> ClockView<'_> {
        ClockView(self.clocks())
    }

    pub(super) fn jobs(&mut self) -> JobsView<'_> {
        JobsView {
            table: &mut self.table,
            deadline: self.interrupt.deadline(),
            reports: &mut self.reports,
            limits: &mut self.limits,
        }
    }

    pub(super) fn registry(&mut self) -> RegistryView<'_> {
        RegistryView { table: &mut self.table }
    }

    pub(super) fn enqueue(&mut self) -> EnqueueView<'_> {
        EnqueueView {
            ctx: &mut self.enqueue,
            table: &mut self.table,
            limits: &mut self.limits,
            grants: &self.grants,
            denials: &self.denials,
            trace: self.trace.as_ref(),
        }
    }

    pub(super) fn sql(&mut self) -> SqlView<'_> {
        SqlView {
            ctx: &self.sql,
            table: &mut self.table,
            limits: &mut self.limits,
            denials: &self.denials,
            trace: self.trace.as_ref(),
        }
    }

    pub(super) fn http_requests(&mut self) -> HttpView<'_> {
        HttpView { ctx: &mut self.sending, table: &mut self.table, limits: &mut self.limits, hooks: &mut self.hooks }
    }

    pub(super) fn log(&mut self) -> LogView<'_> {
        LogView { sink: &self.log, limits: &mut self.limits }
    }
}

/// No arguments, sockets or names, and only granted environment variables and folders. The builder
/// grants nothing that is not requested here.
fn wasi(grants: &Grants, stdout: &LineStream, stderr: &LineStream) -> WasiCtx {
    let mut builder = WasiCtxBuilder::new();
    builder.stdout(stdout.clone()).stderr(stderr.clone()).max_random_size(MAX_RANDOM_BYTES);
    for (name, value) in &grants.env {
        builder.env(name, value.expose());
    }
    for (seen_as, folder) in &grants.directories {
        // The folder existed when the configuration was read. Without it, the guest finds nothing
        // and reports that in its own words.
        if let Err(error) = builder.preopened_dir(folder, seen_as, FsPerms::ReadOnly) {
            tracing::error!(folder = %folder.display(), error = %format!("{error:#}"), "a granted folder cannot be opened; restore it");
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
