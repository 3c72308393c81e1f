//! A host as users run it: a separate process.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::{Database, PATIENCE, Plugins, eventually};

/// The binary beside this test. Cargo does not build it, because it belongs to another package. A
/// binary older than its sources would test outdated code, so it is rejected.
pub fn host_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let test = std::env::current_exe().expect("this test");
        let binary = test.parent().and_then(|deps| deps.parent()).expect("a target folder").join("pgq-host");
        assert!(
            binary.is_file(),
            "{} is missing: run `cargo build --workspace` first, or `make test`",
            binary.display()
        );
        if let Some(newer) = newer_source(&binary) {
            panic!(
                "{} is older than {}: run `cargo build --workspace` first, or `make test`",
                binary.display(),
                newer.display()
            );
        }
        binary
    };
    BINARY.get_or_init(find).clone()
}

/// A source that was changed after cargo built the binary from it, if there is one.
fn newer_source(binary: &Path) -> Option<PathBuf> {
    let listed = std::fs::read_to_string(binary.with_extension("d")).expect("cargo's list of the binary's sources");
    let (_, sources) = listed.split_once(": ").expect("`binary: source source`");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    let built = changed(binary).expect("the binary's time");
    // A commit changes no sources, and a folder's time says nothing about its files.
    let mut sources = sources
        .trim_end()
        .split(' ')
        .map(PathBuf::from)
        .filter(|path| path.is_file() && !path.iter().any(|part| part == ".git"));
    sources.find(|path| changed(path).is_ok_and(|changed| changed > built))
}

/// The process is killed when this is dropped.
pub struct Host {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

/// One cache for all tests, so that the same guests are not compiled again and again.
pub(crate) fn code_cache() -> PathBuf {
    let folder = || std::env::temp_dir().join(format!("pgq-host-tests-code-{}", rustix::process::geteuid().as_raw()));
    std::env::var_os("PGQ_HOST_CACHE_DIR").map_or_else(folder, PathBuf::from)
}

impl Host {
    /// Start `pgq-host run` on this database with these plugins, and wait until it is ready to
    /// claim.
    pub async fn start(database: &Database, plugins: &Plugins, args: &[&str]) -> Host {
        let host = Host::spawn(database, plugins, args);
        host.wait_for_log("ready").await;
        host
    }

    /// The same without waiting.
    pub fn spawn(database: &Database, plugins: &Plugins, args: &[&str]) -> Host {
        let mut command = Command::new(host_binary());
        command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGDSN", database.dsn());
        command.env("PGQ_HOST_CONFIG", plugins.config());
        Host::launch(command)
    }

    /// Start any command of the binary, and read its log.
    pub fn launch(mut command: Command) -> Host {
        command.env("PGQ_HOST_CACHE_DIR", code_cache());
        command
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().expect("the host starts");
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let sink = Arc::clone(&log);
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                sink.lock().unwrap().push(line);
            }
        });
        Host { child, log, reader: Some(reader) }
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Wait until the log contains this text.
    pub async fn wait_for_log(&self, text: &str) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            if log.contains(text) {
                return;
            }
            assert!(
                std::time::Instant::now() < deadline && !log.contains("Error: "),
                "the host never said {text:?}:\n{log}"
            );
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.pid()).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// Send SIGKILL, and wait for the process to end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it runs");
    }

    /// Wait for the process to end, and for the rest of its log.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("the host never ended:\n{}", self.log())).expect("a status");
        if let Some(reader) = self.reader.take() {
            reader.await.expect("the log is read");
        }
        status
    }

    /// Send SIGTERM and wait for the process to end with 0. Returns its log.
    pub async fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}\n{}", self.log());
        self.log()
    }

    /// CPU time since its start, in seconds.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a process");
        // After the name, which may contain spaces: state is the first field, utime and stime are
        // the twelfth and thirteenth, in hundredths of a second.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        (11..=12).map(|field| fields[field].parse::<f64>().expect("a number")).sum::<f64>() / 100.0
    }

    /// Its resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Wait until its memory is at most this many bytes.
    pub async fn wait_for_memory_below(&self, bytes: u64) {
        eventually(&format!("the host has less than {bytes} bytes"), async || self.resident_bytes() < bytes).await;
    }
}
