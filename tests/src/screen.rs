//! A terminal as somebody sits in front of it: a command in a pty of its own, the keys that go to it,
//! and the screen that it draws.
//!
//! `script` makes the pty, and a shell with job control starts the command in it, so that it can be
//! suspended and brought back.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use rustix::process::{Pid, Signal};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};

use crate::{eventually, host_binary};

/// What the shell does. It tells in files which terminal it is, and how that is set.
const SHELL: &str = r#"
set -m
stty cols "$COLUMNS_WANTED" rows "$ROWS_WANTED"
stty -g > "$FOLDER/before"
tty > "$FOLDER/tty"
bash -c 'echo $$ > "$FOLDER/pid"; exec "$BINARY" "$@"' bash "$@"
code=$?
while [ -n "$(jobs -s)" ]; do
    stty -g > "$FOLDER/stopped"
    echo "THE SHELL IS BACK"
    read -r _
    fg > /dev/null
    code=$?
done
stty -g > "$FOLDER/after"
echo "ENDED WITH $code"
read -r _
"#;

pub struct Screen {
    stdin: ChildStdin,
    parser: Arc<Mutex<vt100::Parser>>,
    written: Arc<Mutex<Vec<u8>>>,
    folder: TempDir,
    _script: Child,
}

impl Screen {
    /// `pgq-host` with these arguments and variables, in a terminal of this size.
    pub async fn open(dsn: &str, args: &[&str], variables: &[(&str, &str)], (columns, rows): (u16, u16)) -> Screen {
        let folder = tempfile::tempdir().expect("a folder");
        let shell = folder.path().join("shell");
        std::fs::write(&shell, SHELL).expect("written");
        let quoted = |text: &str| format!("'{}'", text.replace('\'', r"'\''"));
        let words: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
        let mut script = Command::new("script");
        script.args(["--quiet", "--command"]);
        script.arg(format!("bash {} {}", quoted(&shell.display().to_string()), words.join(" "))).arg("/dev/null");
        for name in ["RUST_LOG", "NO_COLOR", "PGQUEUER_DSN", "PGQUEUER_SCHEMA", "PGQUEUER_PREFIX", "PGSERVICE"] {
            script.env_remove(name);
        }
        script
            .env("TERM", "xterm-256color")
            .env("PGDSN", dsn)
            .env("BINARY", host_binary())
            .env("FOLDER", folder.path());
        script
            .env("COLUMNS_WANTED", columns.to_string())
            .env("ROWS_WANTED", rows.to_string())
            .env("SHELL", "/bin/bash");
        script.envs(variables.iter().copied());
        script.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = script.spawn().expect("`script` (of util-linux) makes a terminal");
        let parser = Arc::new(Mutex::new(vt100::Parser::new(rows, columns, 0)));
        let written = Arc::new(Mutex::new(Vec::new()));
        let mut stdout = child.stdout.take().expect("piped");
        let (screen, all) = (Arc::clone(&parser), Arc::clone(&written));
        tokio::spawn(async move {
            let mut buffer = [0; 64 << 10];
            while let Ok(read @ 1..) = stdout.read(&mut buffer).await {
                screen.lock().unwrap().process(&buffer[..read]);
                all.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        let stdin = child.stdin.take().expect("piped");
        Screen { stdin, parser, written, folder, _script: child }
    }

    /// Type these characters.
    pub async fn press(&mut self, keys: &str) {
        self.stdin.write_all(keys.as_bytes()).await.expect("a keyboard");
        self.stdin.flush().await.expect("a keyboard");
    }

    /// What is on the screen, line by line.
    pub fn text(&self) -> String {
        let parser = self.parser.lock().unwrap();
        let (_, columns) = parser.screen().size();
        let lines: Vec<String> = parser.screen().rows(0, columns).map(|line| line.trim_end().to_owned()).collect();
        lines.join("\n")
    }

    /// The line with this text.
    pub fn line(&self, text: &str) -> String {
        let screen = self.text();
        let found = screen.lines().find(|line| line.contains(text));
        found.unwrap_or_else(|| panic!("no line has {text:?}:\n{screen}")).to_owned()
    }

    /// Wait until the screen has this text. Returns the screen.
    pub async fn wait_for(&self, text: &str) -> String {
        self.wait_until(text, |screen| screen.contains(text)).await
    }

    /// Wait until the screen is so. Returns it.
    pub async fn wait_until(&self, what: &str, is_so: impl Fn(&str) -> bool) -> String {
        let mut screen = self.text();
        let deadline = std::time::Instant::now() + crate::PATIENCE;
        while !is_so(&screen) {
            assert!(std::time::Instant::now() < deadline, "never on the screen: {what}\n{screen}");
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            screen = self.text();
        }
        screen
    }

    /// Everything that was ever written to the terminal.
    pub fn written(&self) -> Vec<u8> {
        self.written.lock().unwrap().clone()
    }

    /// Whether a program has the screen for itself, and whether the cursor is hidden.
    pub fn is_taken(&self) -> bool {
        self.parser.lock().unwrap().screen().alternate_screen()
    }

    pub fn is_cursor_hidden(&self) -> bool {
        self.parser.lock().unwrap().screen().hide_cursor()
    }

    /// Whether anything on it has a colour.
    pub fn has_colors(&self) -> bool {
        let parser = self.parser.lock().unwrap();
        let (rows, columns) = parser.screen().size();
        let colored = |row, column| {
            let cell = parser.screen().cell(row, column);
            cell.is_some_and(|cell| cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default)
        };
        (0..rows).any(|row| (0..columns).any(|column| colored(row, column)))
    }

    /// Make the terminal as large as this.
    pub async fn resize(&self, columns: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(rows, columns);
        let terminal = self.told("tty").await;
        let mut stty = Command::new("stty");
        stty.args(["-F", &terminal, "cols", &columns.to_string(), "rows", &rows.to_string()]);
        assert!(stty.status().await.expect("stty").success());
    }

    /// What the shell tells in this file, once it does.
    async fn told(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        let mut text = String::new();
        eventually(&format!("the shell tells its {name}"), async || {
            text = std::fs::read_to_string(&path).unwrap_or_default();
            text.ends_with('\n')
        })
        .await;
        text.trim().to_owned()
    }

    /// The modes of the terminal, as `stty` has them: `before` the command, while it is `stopped`,
    /// and `after` it.
    pub async fn modes(&self, when: &str) -> String {
        self.told(when).await
    }

    /// The modes now.
    pub async fn modes_now(&self) -> String {
        let output = Command::new("stty").args(["-F", &self.told("tty").await, "-g"]).output().await.expect("stty");
        String::from_utf8(output.stdout).expect("text").trim().to_owned()
    }

    pub async fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.told("pid").await.parse().expect("a number")).expect("a process");
        rustix::process::kill_process(pid, signal).expect("it runs");
    }

    /// The code with which the command ended, once it did.
    pub async fn ended(&self) -> i32 {
        let screen = self.wait_for("ENDED WITH ").await;
        let (_, rest) = screen.rsplit_once("ENDED WITH ").expect("just found");
        rest.split_whitespace().next().and_then(|code| code.parse().ok()).expect("a code")
    }
}
