//! Compiles components in a separate process.
//!
//! A hostile file can make compiling arbitrarily slow or large before it is even a plugin, and a
//! compiler cannot be interrupted from within. So this binary starts itself again with a limit on
//! its memory and on its processor time, and lowers that process's priority if it takes long. Time
//! on the clock says nothing about a file: a busy machine makes any compiler slow. A compiler that
//! crashes is merely an error about a file.

mod frames;
mod memory;

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};

use super::effort::Effort;
use super::engine_settings::EngineSettings;
use frames::{frame, framed};
use memory::CompilerMemory;

/// The hidden verb of the command line that runs [`child`].
pub const COMPILE_VERB: &str = "compile-component";

const NICE: i32 = 10;
/// A compilation that has used less CPU time than this runs at normal priority: a new version
/// should be available at once, whatever the load.
const PRIORITY_ALLOWANCE: Duration = Duration::from_secs(1);
/// Threads of a compiler per core, up to `MAX_THREADS` in total. The kernel divides a busy machine
/// by threads: with one per core, a new version took more than a second under full load, and most
/// versions were replaced before they had run a job.
const THREADS_PER_CORE: usize = 4;
/// The same for quick code, which takes a fifth of a second, and which jobs wait for.
const QUICK_THREADS_PER_CORE: usize = 8;
const MAX_THREADS: usize = 16;
/// When a file that took too long is tried again, its time doubles, but no more than this many
/// times.
pub(super) const MAX_DOUBLINGS: u32 = 3;
/// The exit code for an invalid component: the system's code for wrong input.
const INVALID: i32 = 65;
/// The exit code of a compiler whose processor time is over: the system's code for what may work
/// later.
const OUT_OF_TIME: i32 = 75;
/// The exit code of a panic.
const PANICKED: i32 = 101;
/// A compiler that gets less of a processor than this is given up on all the same: a twentieth,
/// or what an hour more than its time gives it, but not before five minutes.
const LEAST_PART: u32 = 20;
const LEAST_WAITING: Duration = Duration::from_secs(300);
const MOST_WAITING: Duration = Duration::from_secs(3600);
/// How often a compiler looks at its processor time.
const GLANCE: Duration = Duration::from_millis(20);
const REMEDY: &str = "if the component is sound, raise compile-timeout under [limits] in pgq-host.toml, or compile it ahead of time with `pgq-host plugin inspect --compile`, which has an hour";
/// The most bytes that are kept of the compiler's error message.
const MAX_MESSAGE_BYTES: u64 = 4 << 10;

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// The file is invalid, with the compiler's message.
    #[error("{0}")]
    Invalid(String),
    /// It has more memories, tables or instances than a plugin may have, with the engine's message.
    #[error("{0}")]
    TooManyParts(String),
    /// It took too long, or needed too much memory.
    #[error("{0}")]
    GaveUp(String),
}

/// Compiles for one engine.
pub(super) struct Compiler {
    engine: wasmtime::Engine,
    settings: Arc<EngineSettings>,
    pooled: bool,
    permits: Semaphore,
    /// A version that is not served yet needs a permit.
    wanted: Notify,
}

impl Compiler {
    pub(super) fn new(engine: &wasmtime::Engine, settings: &Arc<EngineSettings>, pooled: bool) -> Compiler {
        let permits = Semaphore::new(CompilerMemory::here().at_once);
        Compiler { engine: engine.clone(), settings: Arc::clone(settings), pooled, permits, wanted: Notify::new() }
    }

    /// Compile these parts of a component, which share its time. `tries` is how often they took too
    /// long. Each attempt has twice the time of the previous one, since a busy machine is not the
    /// file's fault.
    pub(super) async fn compile(
        &self,
        parts: &[&[u8]],
        tries: u32,
        effort: Effort,
    ) -> Result<Vec<Vec<u8>>, CompileError> {
        let Some(timeout) = self.settings.compile_timeout else {
            return match effort {
                Effort::Quick => compile_here(&self.settings, self.pooled, effort, parts),
                Effort::Full | Effort::Background => compile_with(&self.engine, parts),
            };
        };
        let timeout = timeout.saturating_mul(1 << tries.min(MAX_DOUBLINGS));
        if effort != Effort::Background {
            let _permit = self.permit().await;
            return self.compile_within(timeout, parts, effort).await;
        }
        loop {
            // Before the permit is waited for, so that no call for it is missed.
            let wanted = self.wanted.notified();
            let _permit = self.permits.acquire().await;
            tokio::select! {
                compiled = self.compile_within(timeout, parts, effort) => return compiled,
                // What is compiled in the background is served already. It begins anew afterwards.
                () = wanted => {}
            }
        }
    }

    /// A permit, ahead of what is compiled in the background.
    async fn permit(&self) -> Option<SemaphorePermit<'_>> {
        if let Ok(permit) = self.permits.try_acquire() {
            return Some(permit);
        }
        self.wanted.notify_waiters();
        self.permits.acquire().await.ok()
    }

    async fn compile_within(
        &self,
        limit: Duration,
        parts: &[&[u8]],
        effort: Effort,
    ) -> Result<Vec<Vec<u8>>, CompileError> {
        let mut compiler = self
            .start(limit, effort)
            .map_err(|error| CompileError::GaveUp(format!("the compiler cannot be started: {error}")))?;
        let wait = limit.saturating_mul(LEAST_PART).min(limit.saturating_add(MOST_WAITING)).max(LEAST_WAITING);
        match tokio::time::timeout(wait, communicate(&mut compiler, parts, limit)).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(CompileError::GaveUp(format!("cannot communicate with the compiler: {error}"))),
            Err(_) => {
                let _ = compiler.kill().await;
                Err(CompileError::GaveUp(format!(
                    "compiling did not end within {wait:?}, in which the machine gave it less than {limit:?} of processor time; it is tried again, or give the host more of the machine"
                )))
            }
        }
    }

    fn start(&self, limit: Duration, effort: Effort) -> std::io::Result<Child> {
        // On Linux, this is the running binary even if the file has been replaced by another
        // release.
        let me = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        Command::new(me)
            .arg(COMPILE_VERB)
            .args([
                self.settings.max_instances.to_string(),
                self.settings.max_memory.to_string(),
                self.pooled.to_string(),
                effort.name().to_owned(),
                limit.as_millis().to_string(),
            ])
            .env_clear()
            .env("RAYON_NUM_THREADS", threads(effort).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

fn threads(effort: Effort) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let per_core = match effort {
        Effort::Quick => QUICK_THREADS_PER_CORE,
        Effort::Full => THREADS_PER_CORE,
        Effort::Background => return 1,
    };
    (cores * per_core).min(MAX_THREADS).max(cores)
}

/// Compile in this process.
fn compile_here<P: AsRef<[u8]>>(
    settings: &EngineSettings,
    pooled: bool,
    effort: Effort,
    parts: &[P],
) -> Result<Vec<Vec<u8>>, CompileError> {
    let engine = settings.compiler(pooled, effort).map_err(|error| CompileError::GaveUp(error.to_string()))?;
    compile_with(&engine, parts)
}

/// Components, and core modules that are their libraries.
fn compile_with<P: AsRef<[u8]>>(engine: &wasmtime::Engine, parts: &[P]) -> Result<Vec<Vec<u8>>, CompileError> {
    let each = |part: &P| match part.as_ref() {
        library @ [_, _, _, _, 1, 0, 0, 0, ..] => engine.precompile_module(library),
        component => engine.precompile_component(component),
    };
    parts.iter().map(each).collect::<Result<_, _>>().map_err(|error| CompileError::Invalid(format!("{error:#}")))
}

async fn communicate(
    compiler: &mut Child,
    parts: &[&[u8]],
    limit: Duration,
) -> std::io::Result<Result<Vec<Vec<u8>>, CompileError>> {
    let (Some(stdin), Some(mut stdout), Some(stderr)) =
        (compiler.stdin.take(), compiler.stdout.take(), compiler.stderr.take())
    else {
        unreachable!("all three are piped")
    };
    let (mut code, mut said) = (Vec::new(), String::new());
    let mut stderr = stderr.take(MAX_MESSAGE_BYTES);
    let (written, read, _) = tokio::join!(
        async {
            // Dropped when all is written, which is how the compiler knows.
            let mut stdin = stdin;
            for part in parts {
                stdin.write_all(&frame(part)).await?;
                stdin.write_all(part).await?;
            }
            std::io::Result::Ok(())
        },
        stdout.read_to_end(&mut code),
        stderr.read_to_string(&mut said),
    );
    let status = compiler.wait().await?;
    read?;
    if status.success() {
        written?;
        return match framed(code) {
            Some(all) if all.len() == parts.len() => Ok(Ok(all)),
            _ => Err(std::io::ErrorKind::InvalidData.into()),
        };
    }
    let first = said.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    Ok(Err(match status.code() {
        Some(INVALID) => CompileError::Invalid(said),
        Some(OUT_OF_TIME) => {
            CompileError::GaveUp(format!("compiling took more than {limit:?} of processor time; {REMEDY}"))
        }
        Some(PANICKED) => CompileError::GaveUp(format!(
            "the compiler crashed: {}; no setting helps: please report it with the file",
            said.split_whitespace().collect::<Vec<_>>().join(" ")
        )),
        Some(_) => CompileError::GaveUp(format!("the compiler ended with {status}: {first}")),
        // By a signal, which is how it ends when it runs out of memory.
        None => CompileError::GaveUp(format!(
            "the compiler ended with {status}: {first}; it may use {} MiB, a part of the memory that this host may use: give the host more, or compile the component where there is more with `pgq-host plugin inspect --compile`",
            CompilerMemory::here().bytes >> 20
        )),
    }))
}

/// The compiler process: reads the parts of a component from stdin and writes compiled code to stdout,
/// or an error to stderr.
///
/// # Errors
///
/// Fails if the process cannot set its limits, read its input or write its output.
pub fn child(settings: &EngineSettings, pooled: bool, effort: Effort, limit: Duration) -> anyhow::Result<()> {
    // It must not outlive a host that was killed, nor take resources that jobs need.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    if effort == Effort::Background {
        // Inherited by the threads that follow.
        let _ = rustix::process::nice(NICE);
    }
    std::thread::Builder::new().name("pgq-watch".into()).spawn(move || watch(limit, effort))?;
    // The pool's reserved addresses do not count; only written memory does.
    let CompilerMemory { bytes, .. } = CompilerMemory::here();
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Data, limit)?;
    let mut sent = Vec::new();
    std::io::stdin().read_to_end(&mut sent).context("cannot read the component")?;
    let parts = framed(sent).context("the component is incomplete")?;
    let code = match compile_here(settings, pooled, effort, &parts) {
        Ok(code) => code,
        // Distinguished from other failures of this process: the file is invalid, now and always.
        Err(CompileError::Invalid(error)) => {
            let _ = write!(std::io::stderr(), "{error}");
            std::process::exit(INVALID);
        }
        Err(CompileError::TooManyParts(error) | CompileError::GaveUp(error)) => anyhow::bail!(error),
    };
    let mut stdout = std::io::stdout();
    for part in &code {
        stdout.write_all(&frame(part)).context("cannot write the compiled code")?;
        stdout.write_all(part).context("cannot write the compiled code")?;
    }
    stdout.flush().context("cannot write the compiled code")
}

/// After a while, lower the priority of this process, and end it when its processor time is over.
fn watch(limit: Duration, effort: Effort) {
    let mut steps_back = effort != Effort::Background;
    loop {
        let spent = Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default();
        if spent >= limit {
            // At once: threads that compile are not waited for.
            std::process::exit(OUT_OF_TIME);
        }
        if steps_back && spent >= PRIORITY_ALLOWANCE {
            lower_priority();
            steps_back = false;
        }
        std::thread::sleep(GLANCE);
    }
}

/// Lower the priority of all threads of this process below those that run jobs.
fn lower_priority() {
    // On Linux, each thread has its own priority.
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for id in threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
        let _ = rustix::process::setpriority_process(rustix::process::Pid::from_raw(id), NICE);
    }
}

/// The default limit on the processor time of one compilation.
pub const DEFAULT_COMPILE_TIMEOUT: Duration = Duration::from_secs(60);
/// The limit of commands that compile for somebody who waits, and can interrupt them.
pub const FAR_COMPILE_TIMEOUT: Duration = Duration::from_secs(3600);
