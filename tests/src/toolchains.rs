//! The tools that build plugins in languages other than Rust, and a plugin of each language: what
//! `plugin new` makes, with the example's handlers and those of `tests/languages` added.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::host::{code_cache, host_binary};

/// A language, and what its folders are called.
#[derive(Debug, Clone, Copy)]
pub struct Language {
    /// As `plugin new --lang` takes it, and in `plugins-example` and `tests/languages`.
    pub name: &'static str,
    /// What the names of its entrypoints begin with.
    pub prefix: &'static str,
    /// The file with a new plugin's handlers, and what has it include the examples and the faults.
    handlers: (&'static str, &'static str),
    /// The examples' handlers and their tests, and the faults: each with the file that it becomes here.
    more: &'static [(&'static str, &'static str)],
    /// The command of the README that runs a plugin's tests.
    test: &'static [&'static str],
}

pub const PYTHON: Language = Language {
    name: "python",
    prefix: "py",
    handlers: ("src/handlers.py", "\nimport examples\nimport faults\n"),
    more: &[
        ("plugins-example/python/src/handlers.py", "src/examples.py"),
        ("plugins-example/python/tests/test_handlers.py", "tests/test_examples.py"),
        ("sdk/python/tests/test_sdk.py", "tests/test_sdk.py"),
        ("tests/languages/python/faults.py", "src/faults.py"),
    ],
    test: &["python3", "-m", "unittest", "discover", "tests"],
};

pub const JS: Language = Language {
    name: "js",
    prefix: "js",
    handlers: ("src/handlers.js", "import \"./examples.js\";\nimport \"./faults.js\";\n"),
    more: &[
        ("plugins-example/js/src/handlers.js", "src/examples.js"),
        ("plugins-example/js/test/handlers.test.js", "test/examples.test.js"),
        ("tests/languages/js/faults.js", "src/faults.js"),
    ],
    test: &["npm", "test", "--silent"],
};

pub const GO: Language = Language {
    name: "go",
    prefix: "go",
    handlers: ("handlers.go", ""),
    more: &[
        ("plugins-example/go/handlers.go", "examples.go"),
        ("plugins-example/go/handlers_test.go", "examples_test.go"),
        ("tests/languages/go/faults.go", "faults.go"),
    ],
    test: &["go", "test", "./..."],
};

pub const C: Language = Language {
    name: "c",
    prefix: "c",
    handlers: ("src/handlers.c", "#include \"examples.c\"\n#include \"faults.c\"\n"),
    more: &[
        ("plugins-example/c/src/handlers.c", "src/examples.c"),
        ("plugins-example/c/test/handlers.c", "test/handlers.c"),
        ("tests/languages/c/faults.c", "src/faults.c"),
    ],
    test: &["make", "test"],
};

pub const TS: Language = Language {
    name: "ts",
    prefix: "ts",
    handlers: ("src/handlers.ts", ""),
    more: &[],
    test: &["npm", "test", "--silent"],
};

/// A plugin's folder from `plugin new`.
pub struct NewPlugin {
    pub language: Language,
    pub folder: PathBuf,
}

impl Language {
    /// The folder with the tools, which `make test` or `make languages` fills. `None`, with a message,
    /// where they cannot be had.
    pub fn tools(self) -> Option<PathBuf> {
        let test = std::env::current_exe().expect("this test");
        let folder = test.ancestors().nth(3).expect("a target folder").join("languages");
        let needed = match self.name {
            "js" | "ts" => "node/node_modules/.bin/jco",
            "go" => "venv/bin/go",
            "c" => "venv/bin/python-zig",
            _ => "venv/bin/componentize-py",
        };
        if folder.join(needed).exists() {
            return Some(folder);
        }
        let npm = || Command::new("npm").arg("--version").output().is_ok_and(|said| said.status.success());
        assert!(
            !folder.join(".installed").exists() || (needed.starts_with("node") && !npm()),
            "{} has no {needed}: remove its file .installed and run `make languages`",
            folder.display()
        );
        eprintln!("SKIPPED: the tools for {} are missing (`make languages` installs them)", self.name);
        None
    }

    /// A new plugin, in a folder that every test run makes anew. Its tools are not there yet.
    pub fn new_plugin(self, name: &str) -> NewPlugin {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        let test = std::env::current_exe().expect("this test");
        let target = test.ancestors().nth(3).expect("a target folder");
        let path = target.join("tmp/languages").join(name);
        let _ = fs::remove_dir_all(&path);
        run(
            Command::new(host_binary()).args(["plugin", "new", name, "--lang", self.name, "--path"]).arg(&path),
            folder,
        );
        NewPlugin { language: self, folder: path }
    }
}

impl NewPlugin {
    /// Have the tools where the plugin's README installs them.
    pub fn install(&self, tools: &Path) {
        if ["js", "ts"].contains(&self.language.name) {
            let modules = self.folder.join("node_modules");
            fs::create_dir_all(modules.join(".bin")).expect("made");
            for entry in fs::read_dir(tools.join("node/node_modules")).expect("node_modules") {
                let entry = entry.expect("an entry");
                if !entry.file_name().to_string_lossy().starts_with('.') {
                    symlink(entry.path(), modules.join(entry.file_name())).expect("linked");
                }
            }
            for tool in ["jco", "tsc"] {
                symlink(tools.join("node/node_modules/.bin").join(tool), modules.join(".bin").join(tool))
                    .expect("linked");
            }
            // As npm does with `install-links`.
            run(Command::new("cp").args(["-r", "vendor/pgq-plugin", "node_modules/pgq-plugin"]), &self.folder);
            for tool in ["build", "componentize"] {
                let script = format!("pgq-plugin/src/{tool}.js");
                run(Command::new("chmod").args(["+x", &format!("node_modules/{script}")]), &self.folder);
                symlink(format!("../{script}"), modules.join(format!(".bin/pgq-plugin-{tool}"))).expect("linked");
            }
        } else {
            symlink(tools.join("venv"), self.folder.join(".venv")).expect("linked");
        }
    }

    /// Run the plugin's own tests.
    pub fn test(&self, tools: &Path) -> String {
        let mut command = Command::new(self.language.test[0]);
        command.args(&self.language.test[1..]).env("PYTHONPATH", "src:vendor").env("PYTHONDONTWRITEBYTECODE", "1");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{}:{path}", tools.join("venv/bin").display()));
        run(&mut command, &self.folder)
    }

    /// Add the handlers of the example and of `tests/languages`.
    pub fn add_handlers(&self) {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
        for (source, here) in self.language.more {
            let text = fs::read_to_string(root.join(source)).expect("handlers");
            // One `main` is enough.
            fs::write(self.folder.join(here), text.replace("func main() {}\n", "")).expect("written");
        }
        let (file, more) = self.language.handlers;
        let path = self.folder.join(file);
        let text = fs::read_to_string(&path).expect("handlers");
        fs::write(path, text + more).expect("written");
    }

    /// Build the component as the README says, with its compiled code in the tests' cache.
    pub fn build(&self) -> PathBuf {
        let mut command = Command::new(host_binary());
        // A busy machine compiles for longer than a host would wait.
        fs::write(self.folder.join("pgq-host.toml"), "[limits]\ncompile-timeout = \"15m\"\n").expect("written");
        command.args(["plugin", "build", "--compile", "--out", "plugins"]).env("PGQ_HOST_CACHE_DIR", code_cache());
        run(&mut command, &self.folder);
        let file = self.folder.file_name().expect("a name").to_string_lossy().replace('-', "_");
        self.folder.join("plugins").join(format!("{file}.wasm"))
    }
}

/// Run it in this folder to success. Returns what it printed.
fn run(command: &mut Command, folder: &Path) -> String {
    let said = command.current_dir(folder).output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&said.stdout), String::from_utf8_lossy(&said.stderr));
    assert!(said.status.success(), "{command:?} in {}: {text}", folder.display());
    text
}
