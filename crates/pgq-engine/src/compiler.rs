//! Compiling, in a process of its own.
//!
//! Compiling is the one thing that a hostile file can make arbitrarily slow or large before it is
//! even a plugin, and a compiler cannot be interrupted from within. So this binary starts itself
//! once more, at a lower priority when it takes long, with a limit on its memory; past its time it
//! is killed. A compiler that crashes is an error about a file, nothing more.

mod memory;

use std::io::{Read as _, Write as _};
use std::num::NonZero;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, Signal};
use rustix::time::{ClockId, clock_gettime};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;

use super::engine_settings::EngineSettings;
use memory::CompilerMemory;

/// The hidden verb of the command line that leads to [`child`].
pub const COMPILE_VERB: &str = "compile-component";

const NICE: i32 = 10;
/// A compilation that has taken no more of the processors competes as an equal: a new version is to
/// be there at once, whatever the load.
const ALLOWANCE: Duration = Duration::from_secs(1);
/// Threads of a compiler per core, while that makes no more than so many. The kernel shares a busy
/// machine out by threads: with one per core a new version under full load came after more than a
/// second, and most were replaced before they had run a job.
const THREADS_PER_CORE: usize = 4;
const MANY_THREADS: usize = 16;
/// A file that took too long has at most so many times twice the time when it is tried again.
const MOST_DOUBLINGS: u32 = 3;
/// How the process ends whose component is none: the system's code for wrong input.
const INVALID: i32 = 65;
/// Of what the compiler says when it fails.
const MAX_MESSAGE_BYTES: u64 = 4 << 10;

/// Why there is no compiled code.
#[derive(Debug, thiserror::Error)]
pub(super) enum CompileError {
    /// The file is at fault, in the compiler's words.
    #[error("{0}")]
    Invalid(String),
    /// It took too long, or too much.
    #[error("{0}")]
    GaveUp(String),
}

/// Compiles for one engine.
pub(super) struct Compiler {
    engine: wasmtime::Engine,
    settings: Arc<EngineSettings>,
    pooled: bool,
    permits: Semaphore,
}

impl Compiler {
    pub(super) fn new(engine: &wasmtime::Engine, settings: &Arc<EngineSettings>, pooled: bool) -> Compiler {
        let permits = Semaphore::new(CompilerMemory::here().at_once);
        Compiler { engine: engine.clone(), settings: Arc::clone(settings), pooled, permits }
    }

    /// `tries`: how often these bytes took too long; each try has twice the time of the one before,
    /// since a busy machine is no fault of the file's.
    pub(super) async fn compile(&self, wasm: &[u8], tries: u32) -> Result<Vec<u8>, CompileError> {
        let Some(timeout) = self.settings.compile_timeout else {
            let code = self.engine.precompile_component(wasm);
            return code.map_err(|error| CompileError::Invalid(format!("{error:#}")));
        };
        let timeout = timeout.saturating_mul(1 << tries.min(MOST_DOUBLINGS));
        let _permit = self.permits.acquire().await;
        let mut compiler =
            self.start().map_err(|error| CompileError::GaveUp(format!("the compiler cannot be started: {error}")))?;
        match tokio::time::timeout(timeout, converse(&mut compiler, wasm)).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(CompileError::GaveUp(format!("the compiler cannot be spoken to: {error}"))),
            Err(_) => {
                let _ = compiler.kill().await;
                Err(CompileError::GaveUp(format!("compiling took longer than {timeout:?}")))
            }
        }
    }

    fn start(&self) -> std::io::Result<Child> {
        // On Linux this very binary, even when the file has been replaced by another release since.
        let me = if cfg!(target_os = "linux") { "/proc/self/exe".into() } else { std::env::current_exe()? };
        Command::new(me)
            .arg(COMPILE_VERB)
            .args([
                self.settings.max_instances.to_string(),
                self.settings.max_memory.to_string(),
                self.pooled.to_string(),
            ])
            .env_clear()
            .env("RAYON_NUM_THREADS", threads().to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
    }
}

fn threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    (cores * THREADS_PER_CORE).min(MANY_THREADS).max(cores)
}

async fn converse(compiler: &mut Child, wasm: &[u8]) -> std::io::Result<Result<Vec<u8>, CompileError>> {
    let (Some(mut stdin), Some(mut stdout), Some(stderr)) =
        (compiler.stdin.take(), compiler.stdout.take(), compiler.stderr.take())
    else {
        unreachable!("all three are piped")
    };
    let (mut code, mut said) = (Vec::new(), String::new());
    let mut stderr = stderr.take(MAX_MESSAGE_BYTES);
    let (written, read, _) = tokio::join!(
        async {
            let written = stdin.write_all(wasm).await;
            drop(stdin);
            written
        },
        stdout.read_to_end(&mut code),
        stderr.read_to_string(&mut said),
    );
    let status = compiler.wait().await?;
    read?;
    if status.success() {
        written?;
        return Ok(Ok(code));
    }
    Ok(Err(match status.code() {
        Some(INVALID) => CompileError::Invalid(said),
        // Out of memory it ends by a signal; so it does when it is at fault itself.
        _ => CompileError::GaveUp(format!(
            "the compiler ended with {status}: {}; it may take {} MiB here, of the memory that this host may use",
            said.lines().next().unwrap_or_default(),
            CompilerMemory::here().bytes >> 20
        )),
    }))
}

/// What the other process does: component on stdin, compiled code on stdout, what is wrong on
/// stderr.
pub fn child(settings: &EngineSettings, pooled: bool) -> anyhow::Result<()> {
    // Not to outlive a host that was killed, and not to take what jobs need.
    #[cfg(target_os = "linux")]
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    std::thread::Builder::new().name("pgq-step-back".into()).spawn(step_back)?;
    // The pool's reserved addresses do not count; what is written to does.
    let CompilerMemory { bytes, .. } = CompilerMemory::here();
    let limit = Rlimit { current: Some(bytes), maximum: Some(bytes) };
    rustix::process::setrlimit(Resource::Data, limit)?;
    let mut wasm = Vec::new();
    std::io::stdin().read_to_end(&mut wasm).context("cannot read the component")?;
    let engine = settings.engine(pooled)?;
    let code = match engine.precompile_component(&wasm) {
        Ok(code) => code,
        // Told from all that can go wrong with this process: it is the file's fault, now and for
        // ever.
        Err(error) => {
            let _ = write!(std::io::stderr(), "{error:#}");
            std::process::exit(INVALID);
        }
    };
    std::io::stdout().write_all(&code).context("cannot hand over the code")
}

/// After a while, have all threads of this process step back behind those that run jobs.
fn step_back() {
    while Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).unwrap_or_default() < ALLOWANCE {
        std::thread::sleep(Duration::from_millis(50));
    }
    // On Linux a priority is the thread's.
    let threads = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    for id in threads.filter_map(|thread| thread.file_name().to_str()?.parse().ok()) {
        let _ = rustix::process::setpriority_process(rustix::process::Pid::from_raw(id), NICE);
    }
}

/// Time for one compilation, unless an operator says otherwise.
pub const DEFAULT_COMPILE_TIMEOUT: Duration = Duration::from_secs(60);
