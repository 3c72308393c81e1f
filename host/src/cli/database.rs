//! Which database, and what its objects are called.

use anyhow::anyhow;
use clap::Args;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};

use crate::names::{NameSettings, Names};
use crate::queue::connect_options;

/// PgQueuer's global options. They may stand before or after the verb.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// Put before the name of every object
    #[arg(long, global = true, env = "PGQUEUER_PREFIX")]
    prefix: Option<String>,
    /// The PostgreSQL schema that holds all objects
    #[arg(long, global = true, env = "PGQUEUER_SCHEMA")]
    schema: Option<String>,
    #[arg(
        long,
        global = true,
        env = "PGDSN",
        hide_env_values = true,
        help = "postgresql://user@host:5432/database; without it PGQUEUER_DSN, then libpq's variables (PGHOST, PGUSER, ...)"
    )]
    pg_dsn: Option<String>,
}

impl DatabaseArgs {
    /// Checked names.
    pub(super) fn names(&self) -> anyhow::Result<Names> {
        let settings = NameSettings { prefix: self.prefix.clone(), schema: self.schema.clone() };
        let env = |key: &str| std::env::var(key).ok().filter(|value| !value.is_empty());
        Ok(Names::new(&settings, env)?)
    }

    /// Where to connect.
    pub(super) fn options(&self) -> anyhow::Result<PgConnectOptions> {
        let dsn = self.pg_dsn.clone().or_else(|| std::env::var("PGQUEUER_DSN").ok()).filter(|dsn| !dsn.is_empty());
        connect_options(dsn.as_deref()).map_err(|message| anyhow!(message))
    }

    /// One connection, for a verb that does one thing.
    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        let options = self.options()?;
        PgConnection::connect_with(&options).await.map_err(|error| crate::app::unreachable_database(&options, &error))
    }
}
