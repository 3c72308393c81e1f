//! Which database, and what its objects are called.

use std::time::Duration;

use anyhow::Context as _;
use clap::Args;
use sqlx::{Connection as _, PgConnection};

use super::usage::{IsUsage as _, usage};
use crate::config::parse_duration;
use pgq_queue::environment::variable;
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::{Database, Operator, Pool, Source};

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
    /// What is there is a pooler in transaction mode (PgBouncer, Supavisor, ...): every statement
    /// is a transaction
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
    /// How long the database may take to answer a statement, in seconds; past that, the connection
    /// is given up [default: 30 for a host; what is counted or changed in whole tables has longer]
    #[arg(long, global = true, env = "PGQ_HOST_STATEMENT_TIMEOUT", value_name = "TIME", value_parser = parse_time, help_heading = "Database")]
    pub(super) statement_timeout: Option<Duration>,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time < Duration::from_millis(100) {
        Err("a statement needs a tenth of a second at least".into())
    } else {
        Ok(time)
    }
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
            value
                .as_deref()
                .filter(|value| !value.is_empty())
                .map(|value| format!(" --{name} {value}"))
                .unwrap_or_default()
        };
        flag("prefix", &self.prefix) + &flag("schema", &self.schema)
    }

    /// Where the database is, and how to reach it.
    pub(super) fn database(&self) -> anyhow::Result<Database> {
        let source = |dsn: Option<&str>| Source::new(dsn).map_err(anyhow::Error::msg).or_usage();
        Ok(Database {
            source: source(self.dsn().as_deref())?,
            transaction_pooling: self.transaction_pooling,
            direct: self
                .listen_dsn
                .as_ref()
                .filter(|dsn| given(dsn))
                .map(|dsn| source(Some(dsn)).context("--listen-dsn"))
                .transpose()?,
            statement_timeout: self.statement_timeout,
        })
    }

    /// Where sessions are our own.
    pub(super) fn session(&self) -> anyhow::Result<Source> {
        let database = self.database()?;
        if database.transaction_pooling && database.direct.is_none() {
            return Err(usage(
                "this needs a session, which no pooler in transaction mode gives: set --listen-dsn (PGQ_HOST_LISTEN_DSN) to an address past it",
            ));
        }
        Ok(database.direct.unwrap_or(database.source))
    }

    /// The flags as variables, for a process that is to reach the same; libpq's variables it has
    /// from us.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let pooling = self.transaction_pooling.then(|| "true".to_owned());
        let timeout = self.statement_timeout.map(|time| time.as_secs_f64().to_string());
        let all = [
            ("PGQ_HOST_STATEMENT_TIMEOUT", timeout),
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
        // A pool tries again and again, as suits a worker that starts before its database. Somebody
        // at a terminal wants to know now.
        connected(&database.source).await?.close().await?;
        database.connect().await.map_err(|error| pgq_queue::unreachable_database(&database.source, &error))
    }

    /// The queue, for a verb that looks at jobs or changes single ones.
    pub(super) async fn operator(&self) -> anyhow::Result<Operator> {
        let names = self.names()?;
        Ok(Operator::new(self.pool().await?, names))
    }
}

async fn connected(source: &Source) -> anyhow::Result<PgConnection> {
    source.connect().await.map_err(|error| pgq_queue::unreachable_database(source, &error))
}

/// What to do about the refusals that a verb meets on a database that is not set up for it.
pub(super) fn explain(error: sqlx::Error) -> anyhow::Error {
    let remedy = match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("42P01") => {
            "the queue's tables are not there: run `pgq-host install`, or `pgq-host upgrade` where PgQueuer made them; or name the right --prefix and --schema"
        }
        Some("26000" | "42P05") => {
            "a pooler in transaction mode is between us and the database: set --transaction-pooling"
        }
        Some("42501") => "the role may not do that: see `pgq-host grant`",
        _ => "the database refused",
    };
    anyhow::Error::from(error).context(remedy)
}

/// An empty variable is an unset one: Compose files pass on what they do not have as "".
fn given(dsn: &str) -> bool {
    !dsn.is_empty()
}
