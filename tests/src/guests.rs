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
        for name in guests {
            std::fs::copy(guest(name), plugins.path().join(format!("{name}.wasm"))).expect("copied");
        }
        plugins
    }

    /// A file of these bytes.
    pub fn write(&self, file: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(file), bytes).expect("written");
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.0.path()
    }
}
