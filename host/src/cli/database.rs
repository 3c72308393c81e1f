//! Which database, and what its objects are called.

use anyhow::Context as _;
use clap::Args;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use super::usage::{IsUsage as _, usage};
use crate::environment::variable;
use crate::names::{NameSettings, Names};
use crate::queue::{self, Database, Operator, Pool, connect_options};

/// PgQueuer's global options. They may stand before or after the verb.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// Put before the name of every object
    #[arg(long, global = true, env = "PGQUEUER_PREFIX", help_heading = "Database")]
    prefix: Option<String>,
    /// The PostgreSQL schema that holds all objects
    #[arg(long, global = true, env = "PGQUEUER_SCHEMA", help_heading = "Database")]
    schema: Option<String>,
    #[arg(
        long,
        global = true,
        env = "PGDSN",
        hide_env_values = true,
        help_heading = "Database",
        help = "postgresql://user@host:5432/database; without it PGQUEUER_DSN, then libpq's variables (PGHOST, PGUSER, ...)"
    )]
    pg_dsn: Option<String>,
    /// What is there is a pooler in transaction mode (PgBouncer, Supavisor, ...): every statement is a transaction
    #[arg(long, global = true, env = "PGQ_HOST_TRANSACTION_POOLING", help_heading = "Database")]
    transaction_pooling: bool,
    #[arg(
        long,
        global = true,
        env = "PGQ_HOST_LISTEN_DSN",
        hide_env_values = true,
        help_heading = "Database",
        help = "The same database past the pooler, for what needs a session: listening, and changes of the tables"
    )]
    listen_dsn: Option<String>,
}

impl DatabaseArgs {
    /// Checked names.
    pub(super) fn names(&self) -> anyhow::Result<Names> {
        let settings = NameSettings { prefix: self.prefix.clone(), schema: self.schema.clone() };
        Names::new(&settings, variable).or_usage()
    }

    /// The names as flags, for a command that is proposed.
    pub(super) fn flags(&self) -> String {
        let flag = |name: &str, value: &Option<String>| {
            value.as_deref().filter(|value| !value.is_empty()).map(|value| format!(" --{name} {value}")).unwrap_or_default()
        };
        flag("prefix", &self.prefix) + &flag("schema", &self.schema)
    }

    /// Where the database is, and how to reach it.
    pub(super) fn database(&self) -> anyhow::Result<Database> {
        let options = |dsn: Option<&str>| connect_options(dsn).map_err(anyhow::Error::msg).or_usage();
        Ok(Database {
            options: options(self.dsn().as_deref())?,
            transaction_pooling: self.transaction_pooling,
            direct: self.listen_dsn.as_ref().filter(|dsn| given(dsn)).map(|dsn| options(Some(dsn)).context("--listen-dsn")).transpose()?,
        })
    }

    /// Where sessions are our own.
    pub(super) fn session(&self) -> anyhow::Result<PgConnectOptions> {
        let database = self.database()?;
        if database.transaction_pooling && database.direct.is_none() {
            return Err(usage(
                "this needs a session, which no pooler in transaction mode gives: set --listen-dsn (PGQ_HOST_LISTEN_DSN) to an address past it",
            ));
        }
        Ok(database.direct.unwrap_or(database.options))
    }

    /// The flags as variables, for a process that is to reach the same; libpq's variables it has from us.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let pooling = self.transaction_pooling.then(|| "true".to_owned());
        let all = [
            ("PGDSN", self.dsn()),
            ("PGQ_HOST_TRANSACTION_POOLING", pooling),
            ("PGQ_HOST_LISTEN_DSN", self.listen_dsn.clone().filter(|dsn| given(dsn))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// As given.
    fn dsn(&self) -> Option<String> {
        self.pg_dsn.clone().filter(|dsn| given(dsn)).or_else(|| variable("PGQUEUER_DSN"))
    }

    /// One connection, for a verb that does one thing.
    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        connected(&self.session()?).await
    }

    /// Connections as a worker has them.
    pub(super) async fn pool(&self) -> anyhow::Result<Pool> {
        let database = self.database()?;
        // A pool tries again and again, as suits a worker that starts before its database. Somebody at a terminal wants to know now.
        connected(&database.options).await?.close().await?;
        database.connect().await.map_err(|error| crate::app::unreachable_database(&database.options, &error))
    }

    /// The queue, for a verb that looks at jobs or changes single ones.
    pub(super) async fn operator(&self) -> anyhow::Result<Operator> {
        let names = self.names()?;
        Ok(Operator::new(self.pool().await?, names))
    }
}

async fn connected(options: &PgConnectOptions) -> anyhow::Result<PgConnection> {
    let connecting = queue::in_time(PgConnection::connect_with(options));
    let connection = connecting.await.map_err(|error| crate::app::unreachable_database(options, &error))?;
    queue::check_server(&connection)?;
    Ok(connection)
}

/// What to do about the refusals that a verb meets on a database that is not set up for it.
pub(super) fn explain(error: sqlx::Error) -> anyhow::Error {
    let remedy = match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42P01") => {
            "the queue's tables are not there: run `pgq-host install`, or `pgq-host upgrade` where PgQueuer made them; or name the right --prefix and --schema"
        }
        Some("26000" | "42P05") => "a pooler in transaction mode is between us and the database: set --transaction-pooling",
        Some("42501") => "the role may not do that: see `pgq-host grant`",
        _ => "the database refused",
    };
    anyhow::Error::from(error).context(remedy)
}

/// An empty variable is an unset one: Compose files pass on what they do not have as "".
fn given(dsn: &str) -> bool {
    !dsn.is_empty()
}
