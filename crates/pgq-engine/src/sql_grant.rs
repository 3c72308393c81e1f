//! The role as which a plugin may use the database, and how much of it one run may use.

use std::fmt;
use std::time::Duration;

use super::secret::Secret;

/// What an operator grants under `sql`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlGrant {
    /// A role that may log in, and that is not the host's.
    pub role: String,
    /// The DSN of another database, without a password. `None`: the database of the queue, where what
    /// a run writes is committed with its outcome.
    pub elsewhere: Option<String>,
    /// `None` where the server asks for none.
    pub password: Option<Secret>,
    /// The most statements of one run.
    pub statements: u64,
    /// The most rows that one run reads.
    pub rows: u64,
    /// The most bytes that the server sends for one run.
    pub bytes: u64,
    /// How long a statement waits for a lock.
    pub lock_timeout: Duration,
}

impl SqlGrant {
    /// A grant of this role, with the default limits.
    pub fn new(role: impl Into<String>) -> SqlGrant {
        SqlGrant {
            role: role.into(),
            elsewhere: None,
            password: None,
            statements: 10_000,
            rows: 1_000_000,
            bytes: 64 << 20,
            lock_timeout: Duration::from_secs(10),
        }
    }

    pub fn password(&self) -> Option<&str> {
        self.password.as_ref().map(Secret::expose)
    }
}

impl fmt::Display for SqlGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.elsewhere {
            None => f.write_str(&self.role),
            Some(dsn) => write!(f, "{dsn}, which is committed before the outcome and not with it"),
        }
    }
}
