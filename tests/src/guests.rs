//! Guests, built from source by this package's build script, and folders to put them in.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

/// The component of this guest (`tests/guests`) or example plugin (`plugins-example`).
pub fn guest(name: &str) -> PathBuf {
    let path = Path::new(env!("PGQ_TEST_GUESTS")).join(format!("{}.wasm", name.replace('-', "_")));
    assert!(path.is_file(), "there is no guest {name} at {}", path.display());
    path
}

/// A folder of plugins that goes with the test.
pub struct Plugins(TempDir);

impl Plugins {
    /// With copies of these guests.
    pub fn with(guests: &[&str]) -> Plugins {
        let plugins = Plugins(tempfile::tempdir().expect("a folder"));
        // Guests for tests enqueue what the test asks for.
        std::fs::write(plugins.config(), "[plugins.hostile]\nenqueue = [\"*\"]\n").expect("written");
        for name in guests {
            std::fs::copy(guest(name), plugins.path().join(format!("{name}.wasm"))).expect("copied");
        }
        plugins
    }

    /// A copy of this guest, there all at once, as a deployment does it: written beside, then
    /// renamed.
    pub fn put(&self, name: &str) {
        self.put_as(name, &format!("{name}.wasm"));
    }

    /// The same under another file name.
    pub fn put_as(&self, name: &str, file: &str) {
        self.replace(file, std::fs::read(guest(name)).expect("read"));
    }

    /// These bytes under this name, there all at once.
    pub fn replace(&self, file: &str, bytes: impl AsRef<[u8]>) {
        let beside = self.path().join(format!(".{file}.new"));
        std::fs::write(&beside, bytes).expect("written");
        std::fs::rename(beside, self.path().join(file)).expect("renamed");
    }

    pub fn remove(&self, file: &str) {
        std::fs::remove_file(self.path().join(file)).expect("removed");
    }

    /// A file of these bytes.
    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), bytes).expect("written");
    }

    /// What is granted to them, where a test names no other configuration.
    pub fn config(&self) -> PathBuf {
        self.path().join("pgq-host.toml")
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
