//! Where a bench runs: a PostgreSQL of its own, or a schema of its own in a database that was
//! named. Nothing of it is left behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqlStr};
use tempfile::TempDir;

use pgq_embedded::{self as embedded, Server};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::schema::{self, InstallOptions};
use pgq_queue::{check_server, connect_options, in_time};

const DATABASE: &str = "bench";
/// What the embedded server has otherwise than a stock one, taken back: figures are to be
/// comparable.
const STOCK: [(&str, &str); 4] =
    [("jit", "on"), ("wal_level", "replica"), ("max_wal_senders", "10"), ("max_wal_size", "1GB")];
/// Of a pool, and some for us.
const CONNECTIONS_PER_HOST: usize = 6;

/// Which database.
#[derive(Debug)]
pub enum Wanted {
    /// A private server, in a folder that is made in this one (by default, where temporary files
    /// go).
    Private(Option<PathBuf>),
    /// The one where these lead, and what a worker's environment has to say of it.
    Given(Box<PgConnectOptions>, Vec<(&'static str, String)>),
}

/// What the figures depend on, besides the machine.
#[derive(Debug, Clone, Serialize)]
pub struct Database {
    /// `server_version`.
    pub version: String,
    /// Is it our own?
    pub private: bool,
    /// The setting.
    pub fsync: String,
    /// The setting.
    pub synchronous_commit: String,
}

/// An opened one. [`Environment::close`] it.
pub struct Environment {
    options: PgConnectOptions,
    variables: Vec<(&'static str, String)>,
    schema: String,
    names: Names,
    server: Option<Server>,
    folder: TempDir,
}

impl Environment {
    /// Start the server, or reach the given one; make the schema.
    pub async fn open(wanted: Wanted, hosts: usize) -> anyhow::Result<Environment> {
        // The server's user passes through, and sees nothing.
        let mut builder = tempfile::Builder::new();
        builder.prefix("pgq-host-bench-").permissions(std::fs::Permissions::from_mode(0o711));
        let folder = match &wanted {
            Wanted::Private(Some(parent)) => {
                builder.tempdir_in(parent).with_context(|| format!("cannot make a folder in {}", parent.display()))
            }
            _ => builder.tempdir().context("cannot make a temporary folder; TMPDIR names where"),
        }?;
        let (options, variables, server) = match wanted {
            Wanted::Given(options, variables) => (*options, variables, None),
            Wanted::Private(_) => {
                let mut settings = embedded::Settings::new(folder.path().join("postgres"));
                settings.settings = STOCK.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                settings
                    .settings
                    .push(("max_connections".into(), (hosts * CONNECTIONS_PER_HOST + 20).max(100).to_string()));
                let server = embedded::start(settings).await?;
                server.create_database_if_missing(DATABASE).await?;
                let dsn = server.dsn(DATABASE);
                (connect_options(Some(&dsn)).map_err(anyhow::Error::msg)?, vec![("PGDSN", dsn)], Some(server))
            }
        };
        let schema = format!("pgq_bench_{:08x}", fastrand::u32(..));
        // The prefix is for the channel, which belongs to no schema: whoever else works in the
        // database hears nothing of us.
        let settings = NameSettings { prefix: Some(format!("{schema}_")), schema: Some(schema.clone()) };
        let names = Names::new(&settings, |_| None)?;
        let environment =
            Environment { options: options.application_name(&schema), variables, schema, names, server, folder };
        match environment.fresh().await {
            Ok(connection) => connection.close().await?,
            Err(error) => {
                environment.stop().await;
                return Err(error);
            }
        }
        Ok(environment)
    }

    /// The tables anew, with nothing in them; and a connection.
    pub(super) async fn fresh(&self) -> anyhow::Result<PgConnection> {
        let mut connection = self.connect().await?;
        let Environment { schema, .. } = self;
        let anew = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        connection.execute(AssertSqlSafe(anew)).await.with_context(|| {
            format!("cannot make the schema {schema}: the role needs CREATE on the database; or run on a private one, with --embedded")
        })?;
        let options = InstallOptions { create_schema: false, ..InstallOptions::default() };
        schema::install(&mut connection, &self.names, &options).await?;
        if self.server.is_some() {
            // Else whoever first writes a page after a checkpoint pays for all of it, and who that
            // is would be chance.
            connection.execute("CHECKPOINT").await?;
        }
        Ok(connection)
    }

    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        let connecting = in_time(PgConnection::connect_with(&self.options));
        let connection = connecting.await.map_err(|error| pgq_queue::unreachable_database(&self.options, &error))?;
        check_server(&connection)?;
        Ok(connection)
    }

    /// What the figures depend on.
    pub async fn database(&self) -> anyhow::Result<Database> {
        const SETTINGS: &str = "
            SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')";
        let mut connection = self.connect().await?;
        let (version, fsync, synchronous_commit) = sqlx::query_as(SETTINGS).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(Database { version, private: self.server.is_some(), fsync, synchronous_commit })
    }

    pub(super) fn options(&self) -> &PgConnectOptions {
        &self.options
    }

    /// Where a worker finds the database, as far as our own environment does not say so.
    pub(super) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// The schema, which is also the name of all our connections.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn prefix(&self) -> String {
        format!("{}_", self.schema)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// A statement about our tables.
    pub(super) fn sql(&self, template: &str) -> SqlStr {
        AssertSqlSafe(self.names.render(template)).into_sql_str()
    }

    /// For whatever must be a file.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Of the server and all of its processes, as far as it is ours.
    pub(super) fn server_cpu(&self) -> Option<f64> {
        super::cpu::of_family(u32::try_from(self.server.as_ref()?.pid()).ok()?)
    }

    /// Take back all that was made, and end what is still under way.
    pub async fn close(self) -> anyhow::Result<()> {
        let dropped = if self.server.is_none() { self.drop_schema().await } else { Ok(()) };
        self.stop().await;
        dropped
    }

    async fn drop_schema(&self) -> anyhow::Result<()> {
        // An INSERT of a million rows outlives whoever asked for it.
        const END: &str = "
            SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = $1 AND pid <> pg_backend_pid()";
        let gone = async {
            let mut connection = self.connect().await?;
            sqlx::query(END).bind(&self.schema).execute(&mut connection).await?;
            connection.execute(AssertSqlSafe(format!("DROP SCHEMA IF EXISTS {} CASCADE", self.schema))).await?;
            anyhow::Ok(connection.close().await?)
        };
        gone.await.with_context(|| {
            format!("the bench's schema is left behind; drop it with: DROP SCHEMA {} CASCADE", self.schema)
        })
    }

    async fn stop(self) {
        let Some(server) = self.server else { return };
        let data = server.data_dir().to_owned();
        server.stop().await;
        // It may lie elsewhere, where the server's user could not enter the temporary folder.
        if !data.starts_with(self.folder.path()) {
            let _ = std::fs::remove_dir_all(data);
        }
    }
}
