//! `sql`: prints the SQL of other verbs instead of running it.

use clap::{Args, Subcommand};

use super::database::DatabaseArgs;
use super::output;
use super::schema::{AutovacChoices, DurabilityChoices, InstallChoices, WidenId};
use super::sql_worker::SqlWorkerArgs;
use pgq_queue::schema::{self, Durability};

#[derive(Debug, Subcommand)]
pub(super) enum SqlCommand {
    /// What `install` runs
    Install(InstallChoices),
    /// What `uninstall` runs
    Uninstall,
    /// A script that brings the tables of any earlier release up to date; `upgrade --plan` prints
    /// what this database needs
    Upgrade(SqlUpgradeArgs),
    /// What `durability` runs
    Durability(DurabilityChoices),
    /// What `autovac` runs
    Autovac(AutovacChoices),
    /// The statements that a worker sends, with their parameters, for psql and EXPLAIN
    Worker(SqlWorkerArgs),
}

#[derive(Debug, Args)]
pub(super) struct SqlUpgradeArgs {
    /// Accepted for PgQueuer's sake, without effect: an upgrade never changes it
    #[arg(short, long, hide = true)]
    durability: Option<Durability>,
    #[command(flatten)]
    widen_id: WidenId,
}

pub(super) fn run(database: &DatabaseArgs, command: SqlCommand) -> anyhow::Result<()> {
    let names = database.names()?;
    let sql = match command {
        SqlCommand::Install(args) => schema::sql_install(&names, &args.options()?),
        SqlCommand::Uninstall => schema::sql_uninstall(&names),
        SqlCommand::Upgrade(args) => schema::sql_upgrade(&names, &args.widen_id.options()?),
        SqlCommand::Durability(args) => schema::sql_durability(&names, args.durability),
        SqlCommand::Autovac(args) => schema::sql_autovac(&names, args.rollback),
        SqlCommand::Worker(args) => args.print(&names)?,
    };
    output::data(sql.trim_end())
}
