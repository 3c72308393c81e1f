//! `plugin build`: turns a crate into a component that a host will load.

use std::path::PathBuf;

use anyhow::{Context as _, bail};
use clap::Args;

use super::inspect::ReportArgs;
use crate::cargo::{Build, install};
use crate::cli::output;
use crate::signal::Signals;

#[derive(Debug, Args)]
pub(super) struct BuildArgs {
    /// The folder of the crate, or of a workspace with several
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Optimized (default)
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
    let workbench = args.reporting.set_up()?;
    let build = Build { folder: &args.dir, release: args.release || !args.debug, quiet: false };
    let components = tokio::select! {
        built = build.run() => built?,
        name = signals.next() => bail!("interrupted by {name}; cargo was stopped"),
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
