//! `sealing`: keys of payloads, and payloads sealed and opened by hand.

mod keygen;
mod keys;
mod open;
mod reseal;
mod reseal_outputs;
mod resealing;
mod seal;

use clap::{Args, Subcommand};

use super::database::DatabaseArgs;
pub(super) use keys::KeysArgs;

#[derive(Debug, Args)]
pub(super) struct SealingArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Make a key, in a new file or at the end of one. Needs no database.
    Keygen(keygen::KeygenArgs),
    /// Seal standard input as a payload. Needs no database.
    Seal(seal::SealArgs),
    /// Open an envelope: the payload or the output of a job, or standard input.
    Open(open::OpenArgs),
    /// Seal payloads of jobs that wait or are held anew, with the key that seals now.
    Reseal(reseal::ResealArgs),
    /// Seal outputs anew, with the key that seals now
    ResealOutputs(reseal_outputs::ResealOutputsArgs),
}

pub(super) async fn run(database: &DatabaseArgs, args: SealingArgs) -> anyhow::Result<()> {
    match args.verb {
        Verb::Keygen(args) => keygen::run(&args),
        Verb::Seal(args) => seal::run(&args).await,
        Verb::Open(args) => open::run(database, &args).await,
        Verb::Reseal(args) => reseal::run(database, args).await,
        Verb::ResealOutputs(args) => reseal_outputs::run(database, args).await,
    }
}
