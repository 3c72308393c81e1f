//! `bench`: what a host does on this machine and this database, measured from outside, as users and
//! we compare versions by it.
//!
//! Hosts are processes of their own, jobs are enqueued as PgQueuer's client does it, and every job
//! is accounted for: one that is missing, or that was run twice, is an error and not a figure. What
//! the figures mean is in docs/cli.md.

mod claims;
mod counters;
mod cpu;
mod environment;
pub mod figures;
mod load;
mod measurement;
pub mod plugin;
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
pub async fn run(
    environment: &Environment,
    settings: &Settings,
    scenarios: &[Scenario],
    say: &dyn Fn(&str),
) -> anyhow::Result<Vec<Row>> {
    let setup = Setup { environment, settings, handler: &settings.handler, say };
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
