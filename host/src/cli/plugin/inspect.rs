//! `plugin inspect`: what components are, without running a job of theirs.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use super::report::Report;
use crate::cli::output;
use crate::cli::workbench::{CodeCaching, Workbench, WorkbenchArgs};

#[derive(Debug, Args)]
pub(super) struct InspectArgs {
    /// The component files
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    reporting: ReportArgs,
}

/// The flags that `inspect` and `build` share.
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// Store the compiled code, so that a host starts without compiling; useful in container images
    #[arg(long)]
    compile: bool,
    /// Print a JSON array
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    workbench: WorkbenchArgs,
}

pub(super) async fn run(args: InspectArgs) -> anyhow::Result<()> {
    let workbench = args.reporting.set_up()?;
    args.reporting.report(&workbench, &args.files).await.map(drop)
}

impl ReportArgs {
    pub(super) fn set_up(&self) -> anyhow::Result<Workbench> {
        if self.compile {
            return self.workbench.set_up(CodeCaching::Required);
        }
        // Quick code says as much about a file, in a third of the time.
        let mut workbench = self.workbench.set_up(CodeCaching::Cached)?;
        workbench.cache = workbench.cache.quick_first();
        Ok(workbench)
    }

    /// Report on each file, then fail if a host would refuse one of them. A file that cannot be
    /// read does not keep others from being reported.
    pub(super) async fn report(&self, workbench: &Workbench, files: &[PathBuf]) -> anyhow::Result<()> {
        let (mut reports, mut unreadable) = (Vec::new(), Vec::new());
        for file in files {
            match Report::of(workbench, file, self.compile).await {
                Ok(report) => reports.push(report),
                Err(error) => unreadable.push(format!("{error:#}")),
            }
        }
        if self.json {
            output::json(&reports.iter().map(Report::json).collect::<Vec<_>>())?;
        } else if !reports.is_empty() {
            output::data(reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n").trim_end())?;
        }
        if !unreadable.is_empty() {
            bail!("{}", unreadable.join("\n"));
        }
        match reports.iter().filter(|report| !report.loads()).count() {
            0 => Ok(()),
            refused => bail!("a host would refuse {refused} of {} files; the reasons are above", files.len()),
        }
    }
}
