//! The verbs about the tables.

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};

use super::database::DatabaseArgs;
use super::output;
use crate::environment::{truth, variable};
use crate::schema::{self, Durability, InstallOptions, Role, UpgradeOptions};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    /// Which tables survive a crash of the server: volatile, balanced or durable [default: `PGQUEUER_DURABILITY`, or durable]
    #[arg(short, long)]
    durability: Option<Durability>,
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
    #[command(flatten)]
    widen_id: WidenId,
}

#[derive(Debug, Args)]
struct WidenId {
    /// Widen int4 ids of early releases to bigint (the default, unless `PGQUEUER_WIDEN_ID` says false); rewrites each table under an
    /// exclusive lock
    #[arg(long, overrides_with = "no_widen_id")]
    widen_id: bool,
    /// Leave int4 ids as they are
    #[arg(long)]
    no_widen_id: bool,
}

#[derive(Debug, Args)]
pub(super) struct AutovacArgs {
    /// Back to the server's settings
    #[arg(long)]
    rollback: bool,
}

#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// The role that workers connect as; it must exist
    role: String,
    /// Run the SQL instead of printing it
    #[arg(long)]
    apply: bool,
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
    /// A script that brings the tables of any earlier release up to date; for what this very database needs, see `upgrade --plan`
    Upgrade(SqlUpgradeArgs),
    /// What `durability` runs
    Durability(DurabilityArgs),
    /// What `autovac` runs
    Autovac(AutovacArgs),
}

#[derive(Debug, Args)]
pub(super) struct SqlUpgradeArgs {
    /// Accepted as PgQueuer does, without effect: an upgrade never changes it
    #[arg(short, long, hide = true)]
    durability: Option<Durability>,
    #[command(flatten)]
    widen_id: WidenId,
}

impl WidenId {
    fn options(&self) -> anyhow::Result<UpgradeOptions> {
        let widen_id = match (self.widen_id, self.no_widen_id) {
            (true, _) => true,
            (_, true) => false,
            _ => match either("PGQUEUER_WIDEN_ID", "WIDEN_ID") {
                None => true,
                Some((name, value)) => truth(&value).map_err(|accepted| anyhow!("the variable {name} is {value:?}: {accepted}"))?,
            },
        };
        Ok(UpgradeOptions { widen_id })
    }
}

/// PgQueuer's variable, or the bare spelling of its early releases.
fn either(name: &'static str, early: &'static str) -> Option<(&'static str, String)> {
    let set = |name: &'static str| variable(name).map(|value| (name, value));
    set(name).or_else(|| set(early))
}

impl InstallArgs {
    fn options(&self) -> anyhow::Result<InstallOptions> {
        let durability = match (self.durability, either("PGQUEUER_DURABILITY", "DURABILITY")) {
            (Some(durability), _) => durability,
            (None, Some((name, value))) => value.parse().context(name)?,
            (None, None) => Durability::default(),
        };
        Ok(InstallOptions { durability, create_schema: !self.create_schema.no_create_schema })
    }
}

pub(super) async fn install(database: &DatabaseArgs, args: InstallArgs) -> anyhow::Result<()> {
    let (names, options) = (database.names()?, args.options()?);
    schema::install(&mut database.connect().await?, &names, &options).await?;
    status(format!("Installed {names}, {}.", options.durability));
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

pub(super) async fn upgrade(database: &DatabaseArgs, args: UpgradeArgs) -> anyhow::Result<()> {
    let (names, options) = (database.names()?, args.widen_id.options()?);
    let mut connection = database.connect().await?;
    if args.plan {
        let plan = schema::plan_upgrade(&mut connection, &names, &options).await?;
        if plan.is_empty() {
            status(format!("{names} is up to date."));
        }
        return plan.iter().try_for_each(|sql| output::data(sql));
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

pub(super) async fn autovac(database: &DatabaseArgs, args: AutovacArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    schema::set_autovac(&mut database.connect().await?, &names, args.rollback).await?;
    let what = if args.rollback { "the server's autovacuum settings again" } else { "PgQueuer's recommended autovacuum settings now" };
    status(format!("{names} has {what}."));
    Ok(())
}

pub(super) async fn grant(database: &DatabaseArgs, args: GrantArgs) -> anyhow::Result<()> {
    let (names, role) = (database.names()?, Role::new(&args.role)?);
    if args.apply {
        schema::grant(&mut database.connect().await?, &names, &role).await?;
        status(format!("The role {:?} can run workers on {names} now.", args.role));
    } else {
        output::data(schema::sql_grant(&names, &role).trim_end())?;
    }
    Ok(())
}

pub(super) fn sql(database: &DatabaseArgs, command: SqlCommand) -> anyhow::Result<()> {
    let names = database.names()?;
    let sql = match command {
        SqlCommand::Install(args) => schema::sql_install(&names, &args.options()?),
        SqlCommand::Uninstall => schema::sql_uninstall(&names),
        SqlCommand::Upgrade(args) => schema::sql_upgrade(&names, &args.widen_id.options()?),
        SqlCommand::Durability(args) => schema::sql_durability(&names, args.durability),
        SqlCommand::Autovac(args) => schema::sql_autovac(&names, args.rollback),
    };
    output::data(sql.trim_end())
}

fn status(line: String) {
    output::status(&line);
}
