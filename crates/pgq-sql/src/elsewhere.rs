//! Another database than the queue's, as an operator names it.

use std::fmt;
use std::path::Path;
use std::str::FromStr as _;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

const FORM: &str = "write it like \"postgresql://role@host:5432/database?sslmode=require\"";

/// What a DSN says, and nothing else: no variable of the host's own database fills it in.
#[derive(Clone, PartialEq, Eq)]
pub struct Elsewhere {
    pub role: String,
    /// A name or an address, or the folder of a socket.
    pub host: String,
    pub port: u16,
    pub database: String,
    pub is_encrypted: bool,
}

impl Elsewhere {
    /// Errors do not repeat the DSN, which may hold a password.
    pub fn read(dsn: &str) -> Result<Elsewhere, String> {
        let config = Config::from_str(dsn).map_err(|error| format!("the DSN cannot be read: {error}; {FORM}"))?;
        if config.get_password().is_some() {
            return Err(
                "the DSN has a password in it; take it out, and name its file or variable under `password`".into()
            );
        }
        let host = match config.get_hosts() {
            [Host::Tcp(name)] => name.clone(),
            #[cfg(unix)]
            [Host::Unix(folder)] => folder.to_string_lossy().into_owned(),
            [] => return Err(format!("the DSN names no host; {FORM}")),
            _ => return Err("the DSN names several hosts; name one".into()),
        };
        let Some(role) = config.get_user().filter(|role| !role.is_empty()).map(str::to_owned) else {
            return Err(format!("the DSN names no role; {FORM}"));
        };
        let Some(database) = config.get_dbname().filter(|name| !name.is_empty()).map(str::to_owned) else {
            return Err(format!("the DSN names no database; {FORM}"));
        };
        // The default, `prefer`, would be encrypted or not as the network pleases.
        let is_encrypted = config.get_ssl_mode() == SslMode::Require;
        if !is_encrypted && !is_local(&host) && !dsn.contains("sslmode=disable") {
            return Err(
                "the DSN leaves open whether the sessions are encrypted; add sslmode=require, or sslmode=disable"
                    .into(),
            );
        }
        let port = config.get_ports().first().copied().unwrap_or(5432);
        Ok(Elsewhere { role, host, port, database, is_encrypted })
    }
}

/// Whether what is sent there stays on this machine.
fn is_local(host: &str) -> bool {
    Path::new(host).is_absolute() || ["localhost", "127.0.0.1", "::1"].contains(&host)
}

impl fmt::Display for Elsewhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {} on {}:{}", self.role, self.database, self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dsn_says_everything_itself_and_a_mistake_is_named_without_its_password() {
        let read = |dsn: &str| Elsewhere::read(dsn);
        let there = read("postgresql://stock@warehouse:6432/goods?sslmode=require").expect("a DSN");
        assert_eq!(there.to_string(), "stock in goods on warehouse:6432");
        assert!(there.is_encrypted);
        assert!(!read("postgresql://stock@localhost/goods").expect("local").is_encrypted);
        assert_eq!(read("postgresql:///goods?host=/run/pg&user=stock").expect("a socket").host, "/run/pg");
        for (dsn, part) in [
            ("postgresql://stock:s3cret@warehouse/goods", "password"),
            ("postgresql://stock@warehouse/goods", "sslmode"),
            ("postgresql://warehouse/goods?sslmode=require", "no role"),
            ("postgresql://stock@warehouse?sslmode=require", "no database"),
            ("postgresql://stock@a,b/goods?sslmode=require", "several"),
            ("user=stock dbname=goods", "no host"),
            ("s3cret", "cannot be read"),
        ] {
            let mistake = read(dsn).err().unwrap_or_else(|| panic!("{dsn}"));
            assert!(mistake.contains(part) && !mistake.contains("s3cret"), "{dsn}: {mistake}");
        }
    }
}
