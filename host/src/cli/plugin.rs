//! `plugin`: make, build, look at, try and list plugins. None of it needs a database.

mod bench;
mod build;
mod ending;
mod inspect;
mod list;
mod new;
mod options;
mod report;
mod run;

use clap::{Args, Subcommand};

#[derive(Debug, Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Make the crate of a new plugin, in Rust: a handler, its test, a sample payload.
    New(new::NewArgs),
    /// Build a plugin's crate into a component, and check it as a host would.
    Build(build::BuildArgs),
    /// Say what components declare, need and would be granted, and whether a host would load them.
    Inspect(inspect::InspectArgs),
    /// Run one handler once, under its limits and grants, without a queue.
    Run(run::RunArgs),
    /// List a folder of plugins as a host would serve it.
    List(list::ListArgs),
}

pub(super) async fn run(args: PluginArgs) -> anyhow::Result<()> {
    match args.command {
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Build(args) => build::run(args).await,
        PluginCommand::Inspect(args) => inspect::run(args).await,
        PluginCommand::Run(args) => run::run(args).await,
        PluginCommand::List(args) => list::run(args).await,
    }
}
