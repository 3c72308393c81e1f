//! Where a bench runs: a private PostgreSQL, or a schema of its own in a given database. Nothing is
//! left behind.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqlSafeStr as _, SqlStr};
use tempfile::TempDir;

use pgq_embedded::{self as embedded, Server};
use pgq_queue::names::{NameSettings, Names};
use pgq_queue::schema::{self, InstallOptions};
use pgq_queue::{Source, connection_variables};

const DATABASE: &str = "bench";
/// Undoes the settings in which the embedded server differs from a stock one, to make the figures
/// comparable.
const STOCK: [(&str, &str); 4] =
    [("jit", "on"), ("wal_level", "replica"), ("max_wal_senders", "10"), ("max_wal_size", "1GB")];
/// Those of a host's pool, and some for us.
const CONNECTIONS_PER_HOST: usize = 6;

/// Which database to use.
#[derive(Debug)]
pub enum Wanted {
    /// A private server, whose folder is created in this one (by default, in the directory for
    /// temporary files).
    Private(Option<PathBuf>),
    /// The database at this address, and the environment variables that lead a worker to it.
    Given(Box<Source>, Vec<(&'static str, String)>),
}

/// The properties of the database that affect the figures.
#[derive(Debug, Clone, Serialize)]
pub struct Database {
    /// `server_version`.
    pub version: String,
    /// Whether it is a private server.
    pub private: bool,
    /// The setting of this name.
    pub fsync: String,
    /// The setting of this name.
    pub synchronous_commit: String,
}

/// An open environment. Call [`Environment::close`] at the end.
pub struct Environment {
    source: Source,
    variables: Vec<(&'static str, String)>,
    schema: String,
    names: Names,
    server: Option<Server>,
    folder: TempDir,
}

impl Environment {
    /// Start the server or connect to the given one, and create the schema.
    ///
    /// # Errors
    ///
    /// Fails if the server cannot be started or reached, or if the schema cannot be created.
    pub async fn open(wanted: Wanted, hosts: usize) -> anyhow::Result<Environment> {
        // The server's user may pass through the folder, but not list it.
        let mut builder = tempfile::Builder::new();
        builder.prefix("pgq-host-bench-").permissions(std::fs::Permissions::from_mode(0o711));
        let folder = match &wanted {
            Wanted::Private(Some(parent)) => {
                builder.tempdir_in(parent).with_context(|| format!("cannot create a folder in {}", parent.display()))
            }
            _ => builder.tempdir().context("cannot create a temporary folder; set TMPDIR to choose another place"),
        }?;
        let (source, variables, server) = match wanted {
            Wanted::Given(source, variables) => (*source, variables, None),
            Wanted::Private(_) => {
                let mut settings = embedded::Settings::new(folder.path().join("postgres"));
                settings.settings = STOCK.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
                settings
                    .settings
                    .push(("max_connections".into(), (hosts * CONNECTIONS_PER_HOST + 20).max(100).to_string()));
                let server = embedded::start(settings).await?;
                server.create_database_if_missing(DATABASE).await?;
                let dsn = server.dsn(DATABASE);
                {
                    let source = Source::alone(&dsn).map_err(anyhow::Error::msg)?;
                    // Empty ones are unset: what they say is about another server.
                    let unset = connection_variables().map(|name| (name, String::new()));
                    (source, unset.chain([("PGDSN", dsn)]).collect(), Some(server))
                }
            }
        };
        let schema = format!("pgq_bench_{:08x}", fastrand::u32(..));
        // The prefix is for the channel, which is not part of a schema: other users of the database
        // receive none of our notifications.
        let settings = NameSettings { prefix: Some(format!("{schema}_")), schema: Some(schema.clone()) };
        let names = Names::new(&settings, |_| None)?;
        let environment = Environment { source: source.called(&schema), variables, schema, names, server, folder };
        match environment.fresh().await {
            Ok(connection) => connection.close().await?,
            Err(error) => {
                environment.stop().await;
                return Err(error);
            }
        }
        Ok(environment)
    }

    /// Create the tables again, empty, and return a connection.
    pub(super) async fn fresh(&self) -> anyhow::Result<PgConnection> {
        let mut connection = self.connect().await?;
        let Environment { schema, .. } = self;
        let anew = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
        connection.execute(AssertSqlSafe(anew)).await.with_context(|| {
            format!("cannot create the schema {schema}: the role needs CREATE on the database; or use a private one, with --embedded")
        })?;
        let options = InstallOptions { create_schema: false, ..InstallOptions::default() };
        schema::install(&mut connection, &self.names, &options).await?;
        if self.server.is_some() {
            // Otherwise the first write to a page after a checkpoint would carry its cost, at
            // random.
            connection.execute("CHECKPOINT").await?;
        }
        Ok(connection)
    }

    pub(super) async fn connect(&self) -> anyhow::Result<PgConnection> {
        self.source.connect().await.map_err(|error| pgq_queue::unreachable_database(&self.source, &error))
    }

    /// The properties of the database that affect the figures.
    ///
    /// # Errors
    ///
    /// Fails if the database does not answer.
    pub async fn database(&self) -> anyhow::Result<Database> {
        const SETTINGS: &str = "
            SELECT current_setting('server_version'), current_setting('fsync'), current_setting('synchronous_commit')";
        let mut connection = self.connect().await?;
        let (version, fsync, synchronous_commit) = sqlx::query_as(SETTINGS).fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok(Database { version, private: self.server.is_some(), fsync, synchronous_commit })
    }

    pub(super) fn source(&self) -> &Source {
        &self.source
    }

    /// The variables that lead a worker to the database, if it does not inherit them from us.
    pub(super) fn variables(&self) -> &[(&'static str, String)] {
        &self.variables
    }

    /// The schema, which is also the application name of all our connections.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    pub(super) fn prefix(&self) -> String {
        format!("{}_", self.schema)
    }

    pub(super) fn names(&self) -> &Names {
        &self.names
    }

    /// Render a statement about our tables.
    pub(super) fn sql(&self, template: &str) -> SqlStr {
        AssertSqlSafe(self.names.render(template)).into_sql_str()
    }

    /// A folder for files.
    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// CPU seconds of the server and all its processes, if it is private.
    pub(super) fn server_cpu(&self) -> Option<f64> {
        super::cpu::of_family(u32::try_from(self.server.as_ref()?.pid()).ok()?)
    }

    /// Remove everything that was created, and end statements in progress.
    ///
    /// # Errors
    ///
    /// Fails if the schema cannot be dropped.
    pub async fn close(self) -> anyhow::Result<()> {
        let dropped = if self.server.is_none() { self.drop_schema().await } else { Ok(()) };
        self.stop().await;
        dropped
    }

    async fn drop_schema(&self) -> anyhow::Result<()> {
        // An INSERT of a million rows continues after its client is gone.
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
        // It may be elsewhere, if the server's user could not enter the temporary folder.
        if !data.starts_with(self.folder.path()) {
            let _ = std::fs::remove_dir_all(data);
        }
    }
}
