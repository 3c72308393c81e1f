//! What is measured, where and with what: the same for all scenarios.

use std::path::PathBuf;

use anyhow::Context as _;

use super::environment::Environment;
use super::plugin;
use super::settings::{Handler, Settings};
use super::workers::Start;

/// How many jobs a reused instance runs: all of them.
const KEPT: u32 = 1_000_000;

/// Everything that a scenario needs.
pub(super) struct Setup<'a> {
    pub(super) environment: &'a Environment,
    pub(super) settings: &'a Settings,
    pub(super) handler: &'a Handler,
    /// The hosts' configuration.
    pub(super) config: &'a str,
    pub(super) say: &'a dyn Fn(&str),
}

impl Setup<'_> {
    pub(super) fn payload(&self) -> &[u8] {
        &self.settings.payload
    }

    pub(super) fn entrypoint(&self) -> String {
        match self.handler {
            Handler::BuiltIn { .. } => plugin::entrypoint(0),
            Handler::User { entrypoint, .. } => entrypoint.clone(),
        }
    }

    /// How instances are used, in words.
    pub(super) fn instances(&self) -> String {
        match self.handler {
            Handler::BuiltIn { reuse: false } => "fresh instances".into(),
            Handler::BuiltIn { reuse: true } => "kept instances".into(),
            Handler::User { entrypoint, .. } => entrypoint.clone(),
        }
    }

    /// How to start hosts that serve these entrypoints.
    pub(super) fn start(&self, entrypoints: &[String]) -> anyhow::Result<Start<'_>> {
        let mut plugins = PathBuf::new();
        if let Handler::BuiltIn { reuse } = self.handler {
            let (served, kept) = (u64::try_from(entrypoints.len())?, if *reuse { KEPT } else { 1 });
            plugins = self.environment.folder().join(format!("plugins-{served}-{kept}"));
            let component = plugin::component(served, kept)?;
            std::fs::create_dir_all(&plugins)
                .and_then(|()| std::fs::write(plugins.join("bench.wasm"), component))
                .with_context(|| format!("cannot write into {}", plugins.display()))?;
        }
        let settings = self.settings;
        Ok(Start {
            environment: self.environment,
            binary: &settings.binary,
            handler: self.handler,
            config: self.config,
            arguments: &settings.arguments,
            plugins,
        })
    }
}

/// Incompressible bytes, the same each time.
pub fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}
