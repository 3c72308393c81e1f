//! Guests, built from source by this package's build script, and folders for them.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::host::{code_cache, host_binary};

/// The component of this guest (`tests/guests`) or example plugin (`plugins-example`).
pub fn guest(name: &str) -> PathBuf {
    let path = Path::new(env!("PGQ_TEST_GUESTS")).join(format!("{}.wasm", name.replace('-', "_")));
    assert!(path.is_file(), "there is no guest {name} at {}", path.display());
    path
}

/// A temporary folder of plugins.
pub struct Plugins(TempDir);

impl Plugins {
    /// A folder with copies of these guests.
    pub fn with(guests: &[&str]) -> Plugins {
        let plugins = Plugins(tempfile::tempdir().expect("a folder"));
        // The tests' guests may enqueue whatever a test asks for.
        std::fs::write(plugins.config(), "[plugins.hostile]\nenqueue = [\"*\"]\n").expect("written");
        for name in guests {
            std::fs::copy(guest(name), plugins.path().join(format!("{name}.wasm"))).expect("copied");
        }
        plugins
    }

    /// The same, with their optimised code in the cache. Without that, a guest that no host has served
    /// yet runs on quick code at first, and what is kept of it goes when its optimised code is there.
    pub fn compiled(guests: &[&str]) -> Plugins {
        for name in guests {
            let mut command = std::process::Command::new(host_binary());
            command.args(["plugin", "inspect", "--compile"]).arg(guest(name)).env("PGQ_HOST_CACHE_DIR", code_cache());
            let said = command.output().expect("the host starts");
            assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
        }
        Plugins::with(guests)
    }

    /// Install a copy of this guest atomically, as a deployment does: written to another name, then
    /// renamed.
    pub fn put(&self, name: &str) {
        self.put_as(name, &format!("{name}.wasm"));
    }

    /// The same under another file name.
    pub fn put_as(&self, name: &str, file: &str) {
        self.replace(file, std::fs::read(guest(name)).expect("read"));
    }

    /// Install these bytes under this name atomically.
    pub fn replace(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let beside = self.path().join(format!(".{file}.new"));
        std::fs::write(&beside, bytes).expect("written");
        std::fs::rename(beside, self.path().join(file)).expect("renamed");
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.path().join(file)).expect("removed");
    }

    /// Write a file with these bytes.
    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), bytes).expect("written");
    }

    /// The configuration that is used unless a test names another one.
    pub fn config(&self) -> PathBuf {
        self.path().join("pgq-host.toml")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
