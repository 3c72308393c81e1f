//! The verbs about the tables.

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};

use super::database::DatabaseArgs;
use crate::schema::{self, Durability, InstallOptions, UpgradeOptions};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// Which tables survive a crash of the server: volatile, balanced or durable
    #[arg(short, long, default_value = "durable", env = "PGQUEUER_DURABILITY")]
    durability: Durability,
    #[command(flatten)]
    create_schema: CreateSchema,
}

/// A switch with its opposite, as PgQueuer has them.
#[derive(Debug, Args)]
struct CreateSchema {
    /// Create the schema of --schema where it is missing (the default)
    #[arg(long, overrides_with = "no_create_schema")]
    create_schema: bool,
    /// Leave the schema alone: the role may not create one, and it exists
    #[arg(long)]
    no_create_schema: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// What should be found
    #[arg(long)]
    expect: Expect,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Expect {
    Present,
    Absent,
}

#[derive(Debug, Args)]
pub(super) struct UpgradeArgs {
    /// Print what would be done, and do nothing
    #[arg(long)]
    plan: bool,
    /// Widen int4 ids of early releases to bigint (the default); rewrites each table under an exclusive lock
    #[arg(long, overrides_with = "no_widen_id")]
    widen_id: bool,
    /// Leave int4 ids as they are
    #[arg(long)]
    no_widen_id: bool,
}

#[derive(Debug, Args)]
pub(super) struct DurabilityArgs {
    /// volatile, balanced or durable
    durability: Durability,
}

#[derive(Debug, Subcommand)]
pub(super) enum SqlCommand {
    /// What `install` runs
    Install(InstallArgs),
    /// What `uninstall` runs
    Uninstall,
}

impl InstallArgs {
    fn options(&self) -> InstallOptions {
        InstallOptions { durability: self.durability, create_schema: !self.create_schema.no_create_schema }
    }
}

pub(super) async fn install(database: &DatabaseArgs, args: InstallArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    schema::install(&mut database.connect().await?, &names, &args.options()).await?;
    status(format!("Installed {names}, {}.", args.durability));
    Ok(())
}

pub(super) async fn verify(database: &DatabaseArgs, args: VerifyArgs) -> anyhow::Result<()> {
    let (names, expect) = match args.expect {
        Expect::Present => (database.names()?, schema::Expect::Present),
        Expect::Absent => (database.names()?, schema::Expect::Absent),
    };
    let findings = schema::verify(&mut database.connect().await?, &names, expect).await?;
    if findings.is_empty() {
        status(format!("{names}: as expected."));
        return Ok(());
    }
    for finding in &findings {
        status(finding.to_string());
    }
    bail!("{} objects of {names} are not as expected", findings.len());
}

#[expect(clippy::print_stdout, reason = "the plan is the command's data")]
pub(super) async fn upgrade(database: &DatabaseArgs, args: UpgradeArgs) -> anyhow::Result<()> {
    let (names, options) = (database.names()?, UpgradeOptions { widen_id: !args.no_widen_id });
    let mut connection = database.connect().await?;
    if args.plan {
        let plan = schema::plan_upgrade(&mut connection, &names, &options).await?;
        if plan.is_empty() {
            status(format!("{names} is up to date."));
        }
        plan.iter().for_each(|sql| println!("{sql}"));
        return Ok(());
    }
    match schema::upgrade(&mut connection, &names, &options).await?.len() {
        0 => status(format!("{names} is up to date.")),
        done => status(format!("Upgraded {names}: {done} statements.")),
    }
    Ok(())
}

pub(super) async fn uninstall(database: &DatabaseArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    schema::uninstall(&mut database.connect().await?, &names).await?;
    status(format!("Removed {names}."));
    Ok(())
}

pub(super) async fn durability(database: &DatabaseArgs, args: DurabilityArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    schema::set_durability(&mut database.connect().await?, &names, args.durability).await?;
    status(format!("{names} is {} now.", args.durability));
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the SQL is the command's data")]
pub(super) fn sql(database: &DatabaseArgs, command: SqlCommand) -> anyhow::Result<()> {
    let names = database.names()?;
    match command {
        SqlCommand::Install(args) => println!("{}", schema::sql_install(&names, &args.options())),
        SqlCommand::Uninstall => println!("{}", schema::sql_uninstall(&names)),
    }
    Ok(())
}

#[expect(clippy::print_stderr, reason = "status lines go to stderr")]
fn status(line: String) {
    eprintln!("{line}");
}
