//! One PostgreSQL for all tests of a process: that of `DATABASE_URL` if it is set, otherwise a
//! private one that ends with the process.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::sync::mpsc;

use pgq_embedded as embedded;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

/// The prefix of the tests' databases. Those that a killed run left behind are dropped at the next
/// start.
pub(crate) const PREFIX: &str = "pgq_test_";
/// Created once and then copied, because installing the schema takes longer.
pub(crate) const TEMPLATE: &str = "pgq_test_template";

/// The DSN for a database with this name.
pub(crate) fn dsn(database: &str) -> String {
    static BASE: OnceLock<String> = OnceLock::new();
    let base = BASE.get_or_init(start);
    // postgresql://user:password@host:port/database
    let end = base.rfind('/').expect("a DSN with a database");
    format!("{}/{database}", &base[..end])
}

/// Runs on a thread that lives as long as the process, because the server is stopped when that
/// thread ends.
fn start() -> String {
    let (sender, receiver) = mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let (dsn, server) = match std::env::var("DATABASE_URL") {
                Ok(dsn) => (dsn, None),
                Err(_) => {
                    let (place, lock) = place();
                    let server = embedded::start(settings(place)).await.expect("the tests' PostgreSQL starts");
                    (server.dsn("postgres"), Some((server, lock)))
                }
            };
            prepare(&dsn).await;
            sender.send(dsn).expect("somebody waits");
            std::future::pending::<()>().await;
            drop(server);
        });
    });
    receiver.recv().expect("the tests' PostgreSQL starts")
}

/// The first folder that no process uses, emptied, and the lock on it. Two test runs at once use
/// different folders, and the gigabyte that the last run left is removed by the next one.
fn place() -> (PathBuf, File) {
    let folder = std::env::var_os("CARGO_TARGET_TMPDIR")
        .map_or_else(|| std::env::temp_dir().join("pgq-host-tests"), PathBuf::from);
    fs::create_dir_all(&folder).expect("a folder for the tests' PostgreSQL");
    let free = (1..).find_map(|number| {
        let lock = File::create(folder.join(format!("postgres-{number}.lock"))).expect("a file to lock");
        lock.try_lock().ok().map(|()| (folder.join(format!("postgres-{number}")), lock))
    });
    let (place, lock) = free.expect("there are more numbers than processes");
    if place.exists() {
        fs::remove_dir_all(&place).expect("what the last run left goes");
    }
    (place, lock)
}

fn settings(place: PathBuf) -> embedded::Settings {
    let mut settings = embedded::Settings::new(place);
    // Tests kill hosts but not this server. Tests about a crash of the server start their own.
    for (name, value) in [("fsync", "off"), ("full_page_writes", "off"), ("max_connections", "300")] {
        settings.settings.push((name.into(), value.into()));
    }
    settings
}

async fn prepare(dsn: &str) {
    let mut connection = PgConnection::connect(dsn).await.expect("the tests' PostgreSQL answers");
    let leftovers: Vec<String> = sqlx::query_scalar("SELECT datname::text FROM pg_database WHERE datname LIKE $1")
        .bind(format!("{PREFIX}%"))
        .fetch_all(&mut connection)
        .await
        .expect("databases");
    for name in leftovers {
        connection.execute(AssertSqlSafe(format!("DROP DATABASE {name} WITH (FORCE)"))).await.expect("a leftover goes");
    }
    connection.execute(AssertSqlSafe(format!("CREATE DATABASE {TEMPLATE}"))).await.expect("the template");
    let end = dsn.rfind('/').expect("a DSN with a database");
    let mut template =
        PgConnection::connect(&format!("{}/{TEMPLATE}", &dsn[..end])).await.expect("the template answers");
    let names = crate::database::default_names();
    pgq_queue::schema::install(&mut template, &names, &pgq_queue::schema::InstallOptions::default())
        .await
        .expect("the schema");
    template.close().await.expect("closed, so that it can be copied");
}
