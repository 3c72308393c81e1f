//! The version of this build, the revision it was built from, and the versions of the parts that
//! run plugins.

use std::sync::LazyLock;

use pgq_engine as wasm;

/// The version, followed by `+` and the revision if it is known, which tells apart builds of the
/// same version.
pub const BUILD: &str = env!("PGQ_HOST_BUILD");

/// The full text for `--version`.
pub static ALL: LazyLock<String> = LazyLock::new(|| {
    format!("{BUILD}\n{} {}\npgq:plugin {}", wasm::ENGINE_NAME, wasm::ENGINE_VERSION, wasm::WIT_VERSION)
});
