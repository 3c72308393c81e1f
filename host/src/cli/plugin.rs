//! `plugin`: create, build, inspect, try and list plugins. Only verbs about running hosts need a
//! database.

mod build;
mod exit;
mod fleet;
mod inspect;
mod keygen;
mod list;
mod lock;
mod new;
mod options;
mod pull;
mod push;
mod quarantine;
mod report;
mod run;
mod sign;
mod verify;

use clap::{Args, Subcommand};

use super::database::DatabaseArgs;

#[derive(Debug, Args)]
pub(super) struct PluginArgs {
    #[command(subcommand)]
    command: PluginCommand,
}

#[derive(Debug, Subcommand)]
enum PluginCommand {
    /// Create a new plugin in Rust, Python, JavaScript, TypeScript, Go or C: a handler, its test and a
    /// sample payload.
    New(new::NewArgs),
    /// Build a plugin's source into a component, and check it as a host would.
    Build(build::BuildArgs),
    /// Show what components declare, need and would be granted, and whether a host would load them.
    Inspect(inspect::InspectArgs),
    /// Make a pair of keys to sign plugins with.
    Keygen(keygen::KeygenArgs),
    /// Sign components: write a signature beside each, as `cosign sign-blob` would.
    Sign(sign::SignArgs),
    /// Show who signed components, and whether [trust] in the configuration accepts them.
    Verify(verify::VerifyArgs),
    /// Put a component into a registry, in the format that other WebAssembly tools read, too.
    Push(push::PushArgs),
    /// Get a component and its signatures from a registry.
    Pull(pull::PullArgs),
    /// Write down which digests the configured references lead to now, for `run --locked`.
    Lock(lock::LockArgs),
    /// Run one handler once, under its limits and grants, without a queue.
    Run(run::RunArgs),
    /// List a folder of plugins as a host would serve it, or the plugins of the running hosts.
    List(list::ListArgs),
    /// Make all hosts try a plugin or an entrypoint again that they paused or rolled back because
    /// its runs crashed.
    Reset(fleet::ResetArgs),
    /// Show what the fleet knows of each version: where it is served, how its runs go, what was found
    /// out about it, what it was denied and which limits it hit.
    Versions(quarantine::VersionsArgs),
    /// Have no host serve a version, by its sha256, until it is lifted.
    Quarantine(quarantine::QuarantineArgs),
    /// Have hosts serve a quarantined version again.
    Lift(quarantine::QuarantineArgs),
    /// Make all hosts scan their plugins folders and read their grants again, now.
    Reload(fleet::ReloadArgs),
}

pub(super) async fn run(database: &DatabaseArgs, args: PluginArgs) -> anyhow::Result<()> {
    match args.command {
        PluginCommand::New(args) => new::run(&args),
        PluginCommand::Build(args) => build::run(args).await,
        PluginCommand::Inspect(args) => inspect::run(args).await,
        PluginCommand::Keygen(args) => keygen::run(&args),
        PluginCommand::Sign(args) => sign::run(&args),
        PluginCommand::Verify(args) => verify::run(&args),
        PluginCommand::Push(args) => push::run(args).await,
        PluginCommand::Pull(args) => pull::run(args).await,
        PluginCommand::Lock(args) => lock::run(args).await,
        PluginCommand::Run(args) => run::run(args).await,
        PluginCommand::List(args) => list::run(database, args).await,
        PluginCommand::Reset(args) => fleet::reset(database, args).await,
        PluginCommand::Versions(args) => quarantine::versions(database, args).await,
        PluginCommand::Quarantine(args) => quarantine::quarantine(database, args).await,
        PluginCommand::Lift(args) => quarantine::lift(database, args).await,
        PluginCommand::Reload(args) => fleet::reload(database, args).await,
    }
}
