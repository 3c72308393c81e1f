//! `plugin build`: turns a plugin's source into a component that a host will load.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::inspect::ReportArgs;
use crate::cli::output;
use crate::install::install;
use crate::signal::Signals;
use crate::source::Source;

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// The folder with the plugin's source: its pgq-plugin.toml, or a crate, or a workspace of several
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Optimized (default); for crates only, as is --debug
    #[arg(long)]
    release: bool,
    /// Not optimized: builds faster, runs slower
    #[arg(long, conflicts_with = "release")]
    debug: bool,
    /// Copy the component into this folder
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    reporting: ReportArgs,
}

pub(super) async fn run(args: BuildArgs) -> anyhow::Result<()> {
    let mut signals = Signals::install()?;
    let mut workbench = args.reporting.set_up()?;
    // What was just built cannot be signed yet.
    workbench.config.forget_trust();
    let source = Source::at(&args.dir)?;
    let components = tokio::select! {
        built = source.build(args.release || !args.debug, false) => built?,
        name = signals.next() => bail!("interrupted by {name}; the build was stopped"),
    };
    // A component that no host would load never reaches the folder.
    args.reporting.report(&workbench, &components).await?;
    for component in components.iter().filter(|_| args.out.is_some()) {
        let out = args.out.as_deref().unwrap_or(&args.dir);
        let installed = install(component, out)
            .with_context(|| format!("cannot copy {} into {}", component.display(), out.display()))?;
        output::status(&format!(
            "{} {}",
            if installed.unchanged { "Unchanged:" } else { "Wrote" },
            installed.path.display()
        ));
    }
    Ok(())
}
