//! Which database to use, and what its objects are called.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use sqlx::{Connection as _, PgConnection};

use super::usage::{OrUsage as _, usage};
use crate::config::parse_duration;
use pgq_queue::environment::variable;
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{Database, Operator, Pool, Source};

/// PgQueuer's global options. They may stand before or after the verb.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// A prefix for the name of every object
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
    /// The server is a pooler in transaction mode (PgBouncer, Supavisor, ...): run each statement
    /// in a transaction of its own
    #[arg(long, global = true, env = "PGQ_HOST_TRANSACTION_POOLING", help_heading = "Database")]
    transaction_pooling: bool,
    #[arg(
        long,
        global = true,
        env = "PGQ_HOST_LISTEN_DSN",
        hide_env_values = true,
        help_heading = "Database",
        help = "The same database without the pooler, for work that needs a session: listening, and changing tables"
    )]
    listen_dsn: Option<String>,
    /// How long the database may take to answer a statement, in seconds, before the connection is
    /// closed [default: 30 for a host; longer for statements that count or change whole tables]
    #[arg(long, global = true, env = "PGQ_HOST_STATEMENT_TIMEOUT", value_name = "TIME", value_parser = parse_time, help_heading = "Database")]
    pub(super) statement_timeout: Option<Duration>,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < Duration::from_millis(100) {
        Err("the timeout of a statement must be at least a tenth of a second".into())
    } else {
        Ok(time)
    }
}

impl DatabaseArgs {
    /// The names of the objects, checked.
    pub(super) fn names(&self) -> anyhow::Result<Names> {
        let settings = NameSettings { prefix: self.prefix.clone(), schema: self.schema.clone() };
        Names::new(&settings, variable).or_usage()
    }

    /// The names as flags, for suggested commands.
    pub(super) fn flags(&self) -> String {
        let flag = |name: &str, value: &Option<String>| {
            value
                .as_deref()
                .filter(|value| !value.is_empty())
                .map(|value| format!(" --{name} {value}"))
                .unwrap_or_default()
        };
        flag("prefix", &self.prefix) + &flag("schema", &self.schema)
    }

    /// The address of the database, and how to connect.
    pub(super) fn database(&self) -> anyhow::Result<Database> {
        let source = |dsn: Option<&str>| Source::new(dsn).map_err(anyhow::Error::msg).or_usage();
        Ok(Database {
            source: source(self.dsn().as_deref())?,
            transaction_pooling: self.transaction_pooling,
            direct: self
                .listen_dsn
                .as_ref()
                .filter(|dsn| is_set(dsn))
                .map(|dsn| source(Some(dsn)).context("--listen-dsn"))
                .transpose()?,
            statement_timeout: self.statement_timeout,
        })
    }

    /// An address at which sessions persist from one statement to the next.
    pub(super) fn session(&self) -> anyhow::Result<Source> {
        let database = self.database()?;
        if database.transaction_pooling && database.direct.is_none() {
            return Err(usage(
                "this command needs a session, which a pooler in transaction mode does not provide: set --listen-dsn (PGQ_HOST_LISTEN_DSN) to an address without the pooler",
            ));
        }
        Ok(database.direct.unwrap_or(database.source))
    }

    /// The flags as environment variables, for a child process that uses the same database. It
    /// inherits libpq's variables anyway.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let pooling = self.transaction_pooling.then(|| "true".to_owned());
        let timeout = self.statement_timeout.map(|time| time.as_secs_f64().to_string());
        let all = [
            ("PGQ_HOST_STATEMENT_TIMEOUT", timeout),
            ("PGDSN", self.dsn()),
            ("PGQ_HOST_TRANSACTION_POOLING", pooling),
            ("PGQ_HOST_LISTEN_DSN", self.listen_dsn.clone().filter(|dsn| is_set(dsn))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// The DSN as given.
    fn dsn(&self) -> Option<String> {
        self.pg_dsn.clone().filter(|dsn| is_set(dsn)).or_else(|| variable("PGQUEUER_DSN"))
    }

    /// One connection, for a command that does one thing.
    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        connected(&self.session()?).await
    }

    /// A pool of connections like a worker's.
    pub(super) async fn pool(&self) -> anyhow::Result<Pool> {
        let database = self.database()?;
        // A pool keeps trying, which suits a worker that starts before its database. Somebody at a
        // terminal wants to know now.
        connected(&database.source).await?.close().await?;
        database.connect().await.map_err(|error| pgq_queue::unreachable_database(&database.source, &error))
    }

    /// The queue, for a command that reads jobs or changes single ones.
    pub(super) async fn operator(&self) -> anyhow::Result<Operator> {
        let names = self.names()?;
        Ok(Operator::new(self.pool().await?, names))
    }
}

async fn connected(source: &Source) -> anyhow::Result<PgConnection> {
    let connection = source.connect().await.map_err(|error| pgq_queue::unreachable_database(source, &error))?;
    tracing::info!("connected to {source} as {:?}, database {:?}", source.user(), source.database());
    Ok(connection)
}

/// Adds the remedy to errors that a command gets from a database that is not set up for it.
pub(super) fn explain(error: sqlx::Error) -> anyhow::Error {
    let remedy = match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42P01") => {
            "the queue's tables do not exist: run `pgq-host install`, or `pgq-host upgrade` if PgQueuer created them, or pass the right --prefix and --schema"
        }
        Some("26000" | "42P05") => "the server is a pooler in transaction mode: set --transaction-pooling",
        Some("42501") => "the role lacks a privilege: see `pgq-host grant`",
        _ => "the database rejected the command",
    };
    anyhow::Error::from(error).context(remedy)
}

/// An empty variable counts as unset: Compose files pass variables that they do not have as "".
fn is_set(dsn: &str) -> bool {
    !dsn.is_empty()
}
