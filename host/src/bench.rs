//! `bench`: what a host does on this machine and this database, measured from outside, as users and we compare versions by it.
//!
//! Hosts are processes of their own, jobs are enqueued as PgQueuer's client does it, and every job is accounted for: one that is
//! missing, or that was run twice, is an error and not a figure. What the figures mean is in docs/cli.md.

mod claims;
mod counters;
mod cpu;
pub mod figures;
mod load;
mod place;
pub mod plugin;
mod scenario;
mod trial;
mod workers;

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Context as _, bail};

pub use figures::{Figures, Row, measure};
pub use place::{Database, Place, Wanted};
pub use scenario::Scenario;

use figures::Rows;
use workers::Start;

/// Hidden: `run`, tied to the life of whoever started it.
pub const WORKER_VERB: &str = "bench-worker";
/// An instance that is kept runs this many jobs: all of them.
const KEPT: u32 = 1_000_000;

/// How much, and of what.
#[derive(Debug)]
pub struct Settings {
    /// Of this very binary.
    pub binary: PathBuf,
    /// Each scenario is measured so many times, in turns.
    pub rounds: usize,
    /// In one measurement.
    pub jobs: i64,
    /// Processes; the scenario's own number where it is not said.
    pub hosts: Option<usize>,
    /// Jobs a second, where they come at a rate.
    pub rate: u32,
    /// Rows or entrypoints that a scenario is about; its own number where it is not said.
    pub size: Option<u64>,
    /// Of every job.
    pub payload: Vec<u8>,
    /// What runs them.
    pub handler: Handler,
    /// More arguments for `run`.
    pub arguments: Vec<OsString>,
}

/// What runs the jobs.
#[derive(Debug)]
pub enum Handler {
    /// The plugin that we bring.
    Ours {
        /// In instances that are kept.
        reuse: bool,
    },
    /// One of the user's.
    Yours {
        /// The folder.
        plugins: PathBuf,
        /// The entrypoint.
        entrypoint: String,
    },
}

/// All that a scenario needs.
struct Bench<'a> {
    place: &'a Place,
    settings: &'a Settings,
    handler: &'a Handler,
    say: &'a dyn Fn(&str),
}

/// Whether these scenarios can be run with this handler.
pub fn check(settings: &Settings, scenarios: &[Scenario]) -> anyhow::Result<()> {
    match (scenarios.iter().find(|scenario| scenario.needs_our_plugin()), &settings.handler) {
        (Some(scenario), Handler::Yours { entrypoint, .. }) => {
            bail!("{} needs the bench's own plugin; leave it out, or --entrypoint {entrypoint}", scenario.name())
        }
        _ => Ok(()),
    }
}

/// Run the scenarios, round by round; `say` hears how far it is.
pub async fn run(place: &Place, settings: &Settings, scenarios: &[Scenario], say: &dyn Fn(&str)) -> anyhow::Result<Vec<Row>> {
    let bench = Bench { place, settings, handler: &settings.handler, say };
    let mut rows = Rows::default();
    for round in 1..=settings.rounds {
        for scenario in scenarios {
            say(&format!("round {round} of {}: {}", settings.rounds, scenario.name()));
            for measured in scenario.round(&bench).await.with_context(|| format!("the scenario {} failed", scenario.name()))? {
                rows.add(scenario.name(), measured);
            }
        }
    }
    Ok(rows.finish())
}

/// Bytes that nothing compresses, the same each time.
pub fn noise(size: usize) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(1);
    std::iter::repeat_with(|| random.u8(..)).take(size).collect()
}

impl Bench<'_> {
    fn payload(&self) -> &[u8] {
        &self.settings.payload
    }

    fn entrypoint(&self) -> String {
        match self.handler {
            Handler::Ours { .. } => plugin::entrypoint(0),
            Handler::Yours { entrypoint, .. } => entrypoint.clone(),
        }
    }

    /// What the jobs run in, in words.
    fn instances(&self) -> String {
        match self.handler {
            Handler::Ours { reuse: false } => "fresh instances".into(),
            Handler::Ours { reuse: true } => "kept instances".into(),
            Handler::Yours { entrypoint, .. } => entrypoint.clone(),
        }
    }

    /// How hosts are started that serve these entrypoints.
    fn start(&self, entrypoints: &[String]) -> anyhow::Result<Start<'_>> {
        let mut plugins = PathBuf::new();
        if let Handler::Ours { reuse } = self.handler {
            let (served, kept) = (u64::try_from(entrypoints.len())?, if *reuse { KEPT } else { 1 });
            plugins = self.place.folder().join(format!("plugins-{served}-{kept}"));
            let component = plugin::component(served, kept)?;
            std::fs::create_dir_all(&plugins)
                .and_then(|()| std::fs::write(plugins.join("bench.wasm"), component))
                .with_context(|| format!("cannot write into {}", plugins.display()))?;
        }
        let settings = self.settings;
        Ok(Start { place: self.place, binary: &settings.binary, handler: self.handler, arguments: &settings.arguments, plugins })
    }
}
