//! `plugin`: make, build, look at, try and list plugins. Only what concerns the hosts that run
//! needs a database.

mod build;
mod exit;
mod fleet;
mod inspect;
mod list;
mod new;
mod options;
mod report;
mod run;

use clap::{Args, Subcommand};

use super::database::DatabaseArgs;

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
    /// List a folder of plugins as a host would serve it, or what the hosts that run make of
    /// theirs.
    List(list::ListArgs),
    /// Have all hosts try a plugin or an entrypoint again that they paused or rolled back because
    /// its runs crashed.
    Reset(fleet::ResetArgs),
    /// Have all hosts look at their plugins folders again, and read again what they grant, now.
    Reload(fleet::ReloadArgs),
}

pub(super) async fn run(database: &DatabaseArgs, args: PluginArgs) -> anyhow::Result<()> {
    match args.command {
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Build(args) => build::run(args).await,
        PluginCommand::Inspect(args) => inspect::run(args).await,
        PluginCommand::Run(args) => run::run(args).await,
        PluginCommand::List(args) => list::run(database, args).await,
        PluginCommand::Reset(args) => fleet::reset(database, args).await,
        PluginCommand::Reload(args) => fleet::reload(database, args).await,
    }
}
