//! `bench`: measures what hosts do on this machine and this database from outside, for comparing
//! versions.
//!
//! Hosts are separate processes, and jobs are enqueued as PgQueuer's client does it. Every job is
//! accounted for: a job that is missing or ran twice is an error rather than a figure. docs/cli.md
//! explains the figures.

mod claims;
mod counters;
mod cpu;
mod environment;
pub mod figures;
mod load;
mod measurement;
pub mod plugin;
mod retention;
mod scenario;
mod settings;
mod setup;
mod workers;

use anyhow::{Context as _, bail};

pub use environment::{Database, Environment, Wanted};
pub use figures::{Figures, Row, measure};
pub use scenario::Scenario;
pub use settings::{Handler, Settings};
pub use setup::noise;
pub use workers::WORKER_VERB;

use figures::Rows;
use setup::Setup;

/// Check whether these scenarios can run with this handler.
///
/// # Errors
///
/// Names the scenario that cannot.
pub fn check(settings: &Settings, scenarios: &[Scenario]) -> anyhow::Result<()> {
    match (scenarios.iter().find(|scenario| scenario.needs_our_plugin()), &settings.handler) {
        (Some(scenario), Handler::User { entrypoint, .. }) => {
            bail!("{} needs the bench's own plugin; leave it out, or --entrypoint {entrypoint}", scenario.name())
        }
        _ => Ok(()),
    }
}

/// Run the scenarios, round by round. `say` receives progress messages.
///
/// # Errors
///
/// Fails if a scenario does, or if a job is lost or runs twice.
pub async fn run(
    environment: &Environment,
    settings: &Settings,
    scenarios: &[Scenario],
    say: &dyn Fn(&str),
) -> anyhow::Result<Vec<Row>> {
    let setup = Setup { environment, settings, handler: &settings.handler, config: "", say };
    let mut rows = Rows::default();
    for round in 1..=settings.rounds {
        for scenario in scenarios {
            say(&format!("round {round} of {}: {}", settings.rounds, scenario.name()));
            for measured in
                scenario.round(&setup).await.with_context(|| format!("the scenario {} failed", scenario.name()))?
            {
                rows.add(scenario.name(), measured);
            }
        }
    }
    Ok(rows.finish())
}
