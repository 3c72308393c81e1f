//! A host as users have it: a process of its own.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};

use rustix::process::{Pid, Signal};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::{Database, PATIENCE, Plugins, eventually};

/// The binary beside this test. Cargo does not build it for us: it belongs to another package. One
/// that is older than its sources would test what is not there any more, so it is refused.
pub fn host_binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let find = || {
        let test = std::env::current_exe().expect("this test");
        let binary = test.parent().and_then(|deps| deps.parent()).expect("a target folder").join("pgq-host");
        assert!(
            binary.is_file(),
            "{} is missing: run `cargo build -p pgq-host` first, or `make test`",
            binary.display()
        );
        if let Some(newer) = newer_source(&binary) {
            panic!(
                "{} is older than {}: run `cargo build -p pgq-host` first, or `make test`",
                binary.display(),
                newer.display()
            );
        }
        binary
    };
    BINARY.get_or_init(find).clone()
}

/// One of the sources that cargo lists beside what it built from them, if it was changed since.
fn newer_source(binary: &Path) -> Option<PathBuf> {
    let listed = std::fs::read_to_string(binary.with_extension("d")).expect("cargo's list of the binary's sources");
    let (_, sources) = listed.split_once(": ").expect("`binary: source source`");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified());
    let built = changed(binary).expect("the binary's time");
    // A commit changes no source, and a folder's time is no file's.
    let mut sources = sources
        .trim_end()
        .split(' ')
        .map(PathBuf::from)
        .filter(|path| path.is_file() && !path.iter().any(|part| part == ".git"));
    sources.find(|path| changed(path).is_ok_and(|changed| changed > built))
}

/// Killed when dropped.
pub struct Host {
    child: Child,
    log: Arc<Mutex<Vec<String>>>,
    reader: Option<JoinHandle<()>>,
}

impl Host {
    /// `pgq-host run` on this database with these plugins, ready to claim.
    pub async fn start(database: &Database, plugins: &Plugins, args: &[&str]) -> Host {
        let host = Host::spawn(database, plugins, args);
        host.wait_for_log("ready").await;
        host
    }

    /// The same, not waited for.
    pub fn spawn(database: &Database, plugins: &Plugins, args: &[&str]) -> Host {
        let mut command = Command::new(host_binary());
        command.arg("run").arg("--plugins").arg(plugins.path()).args(args).env("PGDSN", database.dsn());
        command.env("PGQ_HOST_CONFIG", plugins.config());
        Host::launch(command)
    }

    /// Any command of the binary, its log read.
    pub fn launch(mut command: Command) -> Host {
        // One cache for all tests, or each would compile the same guests again.
        let cache = std::env::temp_dir().join(format!("pgq-host-tests-code-{}", rustix::process::geteuid().as_raw()));
        command.env("PGQ_HOST_CACHE_DIR", std::env::var_os("PGQ_HOST_CACHE_DIR").unwrap_or(cache.into()));
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

    /// Wait until it says this.
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

    /// SIGKILL, and wait for the end.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it runs");
    }

    /// Wait for the end, and for the last of what it said.
    pub async fn ended(&mut self) -> ExitStatus {
        let ended = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = ended.unwrap_or_else(|_| panic!("the host never ended:\n{}", self.log())).expect("a status");
        if let Some(reader) = self.reader.take() {
            reader.await.expect("the log is read");
        }
        status
    }

    /// SIGTERM, wait for the end; exits 0.
    pub async fn stop(mut self) -> String {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{status}\n{}", self.log());
        self.log()
    }

    /// Processor time since its start.
    pub fn cpu_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).expect("a process");
        // Behind the name, which may have blanks: state is the first, utime and stime are the
        // twelfth and thirteenth, in hundredths.
        let fields: Vec<&str> = stat.rsplit(')').next().expect("a name").split_whitespace().collect();
        (11..=12).map(|field| fields[field].parse::<f64>().expect("a number")).sum::<f64>() / 100.0
    }

    /// Resident memory now, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).expect("it runs");
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
    }

    /// Wait until its memory is at most so many bytes.
    pub async fn wait_for_memory_below(&self, bytes: u64) {
        eventually(&format!("the host has less than {bytes} bytes"), async || self.resident_bytes() < bytes).await;
    }
}
