//! Who may see and change what: the settings.

use std::time::Duration;

use super::account::Account;
use super::network::Network;
use super::token_file::TokenFile;

/// Sessions end after so long, wherever nothing else is said.
const SESSION: Duration = Duration::from_secs(12 * 3600);

/// Users, tokens, and what is in front of the server.
#[derive(Debug, Clone)]
pub struct Access {
    pub accounts: Vec<Account>,
    pub tokens: TokenFile,
    /// Reverse proxies whose `X-Forwarded-*` headers are believed.
    pub proxies: Vec<Network>,
    /// Names that the site is reached by. If there are none: by loopback's names without a login,
    /// and by any with one.
    pub hosts: Vec<String>,
    /// A browser has to log in again after this time.
    pub session: Duration,
}

impl Default for Access {
    fn default() -> Access {
        Access {
            accounts: Vec::new(),
            tokens: TokenFile::default(),
            proxies: Vec::new(),
            hosts: Vec::new(),
            session: SESSION,
        }
    }
}

impl Access {
    /// Whether whoever reaches it may do everything.
    pub fn is_open(&self) -> bool {
        self.accounts.is_empty() && self.tokens.is_none()
    }
}
