//! The verbs that create, check and change the tables.

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use sqlx::PgConnection;

use super::database::DatabaseArgs;
use super::output::{self, status};
use super::usage::{OrUsage as _, usage};
use pgq_queue::environment::{truth, variable};
use pgq_queue::names::Names;
use pgq_queue::schema::{self, Durability, InstallOptions, Role, UpgradeOptions};

#[derive(Debug, Args)]
pub(super) struct InstallArgs {
    #[command(flatten)]
    choices: InstallChoices,
    /// Print a JSON object about what was installed
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct InstallChoices {
    /// Which tables survive a crash of the server: volatile, balanced or durable [default:
    /// `PGQUEUER_DURABILITY`, or durable]
    #[arg(short, long)]
    durability: Option<Durability>,
    #[command(flatten)]
    create_schema: CreateSchema,
}

/// A switch and its opposite, as in PgQueuer.
#[derive(Debug, Args)]
struct CreateSchema {
    /// Create the schema of --schema if it is missing (the default)
    #[arg(long, overrides_with = "no_create_schema")]
    create_schema: bool,
    /// Do not create the schema: it exists, and the role may not create one
    #[arg(long)]
    no_create_schema: bool,
}

#[derive(Debug, Args)]
pub(super) struct VerifyArgs {
    /// What should be there
    #[arg(long)]
    expect: Expect,
    /// Print a JSON array: an object with problem, object and detail for each object that is not as
    /// expected
    #[arg(long)]
    json: bool,
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
    /// Then grant this role what a worker needs, as `grant ROLE --apply` does: an upgrade may have
    /// added tables
    #[arg(long, value_name = "ROLE", env = "PGQ_HOST_GRANT")]
    grant: Option<String>,
    #[command(flatten)]
    widen_id: WidenId,
    /// Print a JSON object with the statements, planned or applied
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct WidenId {
    /// Widen int4 ids of early releases to bigint (the default, unless `PGQUEUER_WIDEN_ID` says
    /// false); rewrites each table under an exclusive lock
    #[arg(long, overrides_with = "no_widen_id")]
    widen_id: bool,
    /// Leave int4 ids as they are
    #[arg(long)]
    no_widen_id: bool,
}

#[derive(Debug, Args)]
pub(super) struct AutovacArgs {
    #[command(flatten)]
    choices: AutovacChoices,
    /// Print a JSON object about what was set
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct AutovacChoices {
    /// Return to the server's settings
    #[arg(long)]
    pub(super) rollback: bool,
}

#[derive(Debug, Args)]
pub(super) struct GrantArgs {
    /// The role that workers connect as; it must exist
    role: String,
    /// Let handlers use the database as this role, which must exist and may log in: functions that
    /// record an outcome in its sessions, and the right to call them
    #[arg(long, value_name = "ROLE")]
    handler: Option<String>,
    /// Run the SQL instead of printing it
    #[arg(long)]
    apply: bool,
    /// Print a JSON object with the statements, planned or applied
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DurabilityArgs {
    #[command(flatten)]
    choices: DurabilityChoices,
    /// Print a JSON object about what was set
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(super) struct DurabilityChoices {
    /// volatile, balanced or durable
    pub(super) durability: Durability,
}

impl WidenId {
    pub(super) fn options(&self) -> anyhow::Result<UpgradeOptions> {
        let widen_id = match (self.widen_id, self.no_widen_id) {
            (true, _) => true,
            (_, true) => false,
            _ => match either("PGQUEUER_WIDEN_ID", "WIDEN_ID") {
                None => true,
                Some((name, value)) => {
                    truth(&value).map_err(|accepted| usage(format!("the variable {name} is {value:?}: {accepted}")))?
                }
            },
        };
        Ok(UpgradeOptions { widen_id })
    }
}

/// The value of PgQueuer's variable, or of its name in early releases.
fn either(name: &'static str, early: &'static str) -> Option<(&'static str, String)> {
    let set = |name: &'static str| variable(name).map(|value| (name, value));
    set(name).or_else(|| set(early))
}

impl InstallChoices {
    pub(super) fn options(&self) -> anyhow::Result<InstallOptions> {
        let durability = match (self.durability, either("PGQUEUER_DURABILITY", "DURABILITY")) {
            (Some(durability), _) => durability,
            (None, Some((name, value))) => value.parse::<Durability>().context(name).or_usage()?,
            (None, None) => Durability::default(),
        };
        Ok(InstallOptions { durability, create_schema: !self.create_schema.no_create_schema })
    }
}

pub(super) async fn install(database: &DatabaseArgs, args: InstallArgs) -> anyhow::Result<()> {
    let (names, options) = (database.names()?, args.choices.options()?);
    schema::install(&mut database.connect().await?, &names, &options).await?;
    status(&format!("Installed {names}, {}.", options.durability));
    about(args.json, &names, "durability", json!(options.durability.to_string()))
}

pub(super) async fn verify(database: &DatabaseArgs, args: VerifyArgs) -> anyhow::Result<()> {
    let (names, expect) = match args.expect {
        Expect::Present => (database.names()?, schema::Expect::Present),
        Expect::Absent => (database.names()?, schema::Expect::Absent),
    };
    let findings = schema::verify(&mut database.connect().await?, &names, expect).await?;
    if args.json {
        output::json(&findings)?;
    }
    if findings.is_empty() {
        status(&format!("{names}: as expected."));
        return Ok(());
    }
    if !args.json {
        findings.iter().for_each(|finding| status(&finding.to_string()));
    }
    bail!("{} objects of {names} are not as expected", findings.len());
}

pub(super) async fn upgrade(database: &DatabaseArgs, args: UpgradeArgs) -> anyhow::Result<()> {
    let (names, options) = (database.names()?, args.widen_id.options()?);
    let role = args.grant.as_deref().filter(|role| !role.is_empty()).map(Role::new).transpose().or_usage()?;
    let mut connection = database.connect().await?;
    let mut statements = if args.plan {
        schema::plan_upgrade(&mut connection, &names, &options).await?
    } else {
        schema::upgrade(&mut connection, &names, &options).await?
    };
    match (statements.len(), args.plan) {
        (0, _) => status(&format!("{names} is up to date.")),
        (_, true) => {}
        (done, false) => status(&format!("Upgraded {names}: {done} statements.")),
    }
    if let Some(role) = &role {
        // New objects belong to their owner alone until they are granted.
        if args.plan {
            statements.extend(schema::grant_statements(&names, role));
        } else {
            granted(&mut connection, &names, role).await?;
        }
    }
    if args.json {
        return about(true, &names, if args.plan { "planned" } else { "applied" }, json!(statements));
    }
    if args.plan { statements.iter().try_for_each(|sql| output::data(sql)) } else { Ok(()) }
}

pub(super) async fn durability(database: &DatabaseArgs, args: DurabilityArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    schema::set_durability(&mut database.connect().await?, &names, args.choices.durability).await?;
    status(&format!("{names} is now {}.", args.choices.durability));
    about(args.json, &names, "durability", json!(args.choices.durability.to_string()))
}

pub(super) async fn autovac(database: &DatabaseArgs, args: AutovacArgs) -> anyhow::Result<()> {
    let names = database.names()?;
    schema::set_autovac(&mut database.connect().await?, &names, args.choices.rollback).await?;
    let what = if args.choices.rollback {
        "the server's autovacuum settings again"
    } else {
        "PgQueuer's recommended autovacuum settings now"
    };
    status(&format!("{names} has {what}."));
    about(args.json, &names, "autovac", json!(if args.choices.rollback { "server" } else { "recommended" }))
}

pub(super) async fn grant(database: &DatabaseArgs, args: GrantArgs) -> anyhow::Result<()> {
    let (names, role) = (database.names()?, Role::new(&args.role).or_usage()?);
    let handler = args.handler.as_deref().map(Role::new).transpose().or_usage()?;
    if args.apply {
        let mut connection = database.connect().await?;
        match &handler {
            Some(handler) => {
                schema::grant_handler(&mut connection, &names, &role, handler).await?;
                let (role, handler) = (role.as_str(), handler.as_str());
                status(&format!(
                    "The role {role:?} can now run workers on {names}, and handlers use the database as {handler:?}."
                ));
            }
            None => granted(&mut connection, &names, &role).await?,
        }
    }
    let statements = match &handler {
        Some(handler) => schema::handler_statements(&names, &role, handler),
        None => schema::grant_statements(&names, &role),
    };
    if args.json {
        return about(true, &names, if args.apply { "applied" } else { "planned" }, json!(statements));
    }
    if args.apply { Ok(()) } else { output::data(&statements.join("\n")) }
}

async fn granted(connection: &mut PgConnection, names: &Names, role: &Role) -> anyhow::Result<()> {
    schema::grant(connection, names, role).await?;
    status(&format!("The role {:?} can now run workers on {names}.", role.as_str()));
    Ok(())
}

/// What a command did, for programs: the queue, and one fact about it.
fn about(wanted: bool, names: &Names, key: &str, value: Value) -> anyhow::Result<()> {
    if !wanted {
        return Ok(());
    }
    let mut object = json!({ "schema": names.schema, "queue_table": names.queue_table });
    object[key] = value;
    output::object(&object)
}
