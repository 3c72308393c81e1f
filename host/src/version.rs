//! What this build is: its version, the revision it was built from, and the versions of what it
//! runs plugins with.

use std::sync::LazyLock;

use pgq_engine as wasm;

/// The version, and behind a `+` the revision where it is known: builds of one version tell
/// themselves apart.
pub const BUILD: &str = env!("PGQ_HOST_BUILD");

/// All of it, for `--version`.
pub static ALL: LazyLock<String> = LazyLock::new(|| {
    format!("{BUILD}\n{} {}\npgq:plugin {}", wasm::ENGINE_NAME, wasm::ENGINE_VERSION, wasm::WIT_VERSION)
});
