//! Sessions with the server as its superuser: whether it is ours, whether it answers, and creating
//! a database.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSslMode};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use super::cluster::ROLE;
use super::error::EmbeddedError;
use super::folder::Folder;

/// A server on this machine that says it is ready answers at once or not at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// PostgreSQL truncates longer names.
const NAME_MAX: usize = 63;

/// The address of a database, for any client.
pub(super) fn dsn(port: u16, password: &str, database: &str) -> String {
    let mut name = String::new();
    for byte in database.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02X}")),
        }
    }
    // The password is hexadecimal and needs no escapes. The address has no parameters, because
    // clients support different ones.
    format!("postgresql://{ROLE}:{password}@127.0.0.1:{port}/{name}")
}

/// Whether this very cluster answers on the port. A rejected password is an error, since waiting
/// would not help.
pub(super) async fn is_ready(port: u16, password: &str, folder: &Folder) -> Result<bool, EmbeddedError> {
    let ask = async {
        let mut connection = connect(port, password).await?;
        let data: String = sqlx::query_scalar("SHOW data_directory").fetch_one(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(data)
    };
    match tokio::time::timeout(CONNECT_TIMEOUT, ask).await {
        Ok(Ok(data)) => Ok(folder.data() == std::path::Path::new(&data)),
        Ok(Err(error)) if code(&error).is_some_and(|code| code.starts_with("28")) => {
            Err(EmbeddedError::Password { data: folder.data(), password: folder.password_file() })
        }
        Ok(Err(error)) => {
            tracing::debug!(port, %error, "the embedded server does not answer");
            Ok(false)
        }
        Err(_) => Ok(false),
    }
}

pub(super) async fn create_database_if_missing(port: u16, password: &str, name: &str) -> Result<(), EmbeddedError> {
    let refuse = |reason| Err(EmbeddedError::DatabaseName { database: name.to_owned(), reason });
    if name.is_empty() || name.contains('\0') {
        return refuse("it is empty or contains a zero byte");
    }
    if name.len() > NAME_MAX {
        return refuse("it is longer than 63 bytes, PostgreSQL's limit");
    }
    let doing = || EmbeddedError::sql(format!("creating the database {name:?}"));
    let mut connection = connect(port, password).await.map_err(doing())?;
    let found = sqlx::query("SELECT FROM pg_database WHERE datname = $1").bind(name).fetch_optional(&mut connection);
    if found.await.map_err(doing())?.is_none() {
        let create = format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\""));
        match sqlx::raw_sql(AssertSqlSafe(create)).execute(&mut connection).await {
            // Another client was faster: duplicate_database, or unique_violation on the catalog.
            Err(error) if matches!(code(&error).as_deref(), Some("42P04" | "23505")) => {}
            Err(error) => return Err(doing()(error)),
            Ok(_) => {}
        }
    }
    connection.close().await.map_err(doing())
}

async fn connect(port: u16, password: &str) -> Result<PgConnection, sqlx::Error> {
    let options = PgConnectOptions::new_without_pgpass().host("127.0.0.1").port(port).username(ROLE).password(password);
    options.database("postgres").ssl_mode(PgSslMode::Disable).connect().await
}

fn code(error: &sqlx::Error) -> Option<String> {
    let database = error.as_database_error()?.try_downcast_ref::<PgDatabaseError>()?;
    Some(database.code().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_escaped_in_an_address() {
        assert_eq!(dsn(5433, "00ff", "jobs"), "postgresql://pgq:00ff@127.0.0.1:5433/jobs");
        assert_eq!(dsn(5433, "00ff", "a b/ü?"), "postgresql://pgq:00ff@127.0.0.1:5433/a%20b%2F%C3%BC%3F");
    }
}
