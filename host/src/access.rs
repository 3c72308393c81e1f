//! Who may see and change what on the pages: flags and variables, then the configuration.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::config::Web;
use pgq_queue::Masks;
use pgq_queue::environment::variable;
use pgq_web::Role;
use pgq_web::auth::{Access, Account, Network, PasswordHash, TokenFile};

/// What flags and variables say. What they leave open is as the configuration says.
#[derive(Debug, Clone, Default)]
pub(crate) struct AccessSettings {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) password_file: Option<PathBuf>,
    pub(crate) token_file: Option<PathBuf>,
    pub(crate) base_path: Option<String>,
    pub(crate) trusted_proxies: Vec<Network>,
    pub(crate) hosts: Vec<String>,
}

/// The site's own path, and who has access to it.
#[derive(Debug, Clone)]
pub struct Entry {
    pub base_path: String,
    pub access: Access,
    /// What nobody sees of payloads and outputs.
    pub masks: Masks,
}

impl AccessSettings {
    /// For a worker, whose flags say nothing of pages.
    pub(crate) fn from_environment() -> anyhow::Result<AccessSettings> {
        let list = |name: &str| {
            let value = variable(name).unwrap_or_default();
            value.split(',').filter(|part| !part.is_empty()).map(str::to_owned).collect::<Vec<_>>()
        };
        let networks =
            list("PGQ_HOST_WEB_TRUSTED_PROXIES").iter().map(|text| text.parse()).collect::<Result<_, String>>();
        Ok(AccessSettings {
            user: variable("PGQUEUER_WEB_USER"),
            password: variable("PGQUEUER_WEB_PASSWORD"),
            password_file: variable("PGQ_HOST_WEB_PASSWORD_FILE").map(PathBuf::from),
            token_file: variable("PGQ_HOST_WEB_TOKEN_FILE").map(PathBuf::from),
            base_path: variable("PGQ_HOST_WEB_BASE_PATH"),
            trusted_proxies: networks.map_err(anyhow::Error::msg).context("PGQ_HOST_WEB_TRUSTED_PROXIES")?,
            hosts: list("PGQ_HOST_WEB_HOSTS"),
        })
    }

    /// Together with the configuration. Reads the files.
    pub(crate) fn over(self, web: &Web) -> anyhow::Result<Entry> {
        let base_path = base_path(self.base_path.or_else(|| web.base_path.clone()).as_deref().unwrap_or_default())?;
        let password = match (self.password, self.password_file) {
            (Some(_), Some(_)) => bail!("--password and --password-file are both set; leave one out"),
            (Some(password), None) => Some(password),
            (None, file) => file.or_else(|| web.password_file.clone()).as_deref().map(first_line).transpose()?,
        };
        let mut accounts = web.users.clone();
        match (self.user.or_else(|| web.user.clone()), password) {
            (Some(user), Some(password)) => accounts.push(account(user, &password, &web.users)?),
            (None, None) => {}
            (Some(_), None) => bail!(
                "a user is set without a password; set --password (PGQUEUER_WEB_PASSWORD) or --password-file as well"
            ),
            (None, Some(_)) => bail!("a password is set without a user; set --user (PGQUEUER_WEB_USER) as well"),
        }
        let tokens = match self.token_file.or_else(|| web.token_file.clone()) {
            None => TokenFile::default(),
            Some(file) => TokenFile::open(&file).map_err(anyhow::Error::msg)?,
        };
        let either = |said: Vec<_>, file: &Vec<_>| if said.is_empty() { file.clone() } else { said };
        let default = Access::default();
        let access = Access {
            accounts,
            tokens,
            proxies: if self.trusted_proxies.is_empty() { web.trusted_proxies.clone() } else { self.trusted_proxies },
            hosts: either(self.hosts, &web.hosts),
            session: web.session.unwrap_or(default.session),
        };
        Ok(Entry { base_path, access, masks: web.masks.clone() })
    }
}

/// PgQueuer's one user, who may do everything.
fn account(name: String, password: &str, users: &[Account]) -> anyhow::Result<Account> {
    if name.contains(':') {
        bail!("the user {name:?} has a colon, which Basic authentication does not allow; choose another name");
    }
    if users.iter().any(|user| user.name == name) {
        bail!("there is a user {name:?} under [[web.users]] as well; leave one out");
    }
    let password = PasswordHash::of(password).map_err(anyhow::Error::msg)?;
    Ok(Account { name, role: Role::Operator, password })
}

fn read(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file)
        .with_context(|| format!("the file {} cannot be read; create it, or name another", file.display()))
}

fn first_line(file: &Path) -> anyhow::Result<String> {
    let text = read(file)?;
    match text.lines().next() {
        Some(line) if !line.is_empty() => Ok(line.to_owned()),
        _ => bail!("the file {} has no password in its first line", file.display()),
    }
}

/// `/queue`, without a slash at its end.
fn base_path(text: &str) -> anyhow::Result<String> {
    let path = text.trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.~/".contains(c);
    if path.is_empty() || (path.starts_with('/') && path.chars().all(is_plain) && !path.contains("//")) {
        Ok(path.to_owned())
    } else {
        bail!("the base path is {text:?}; write a path like /queue, of letters, digits, `-`, `_`, `.` and `/`")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_plain() {
        let of = |text: &str| base_path(text).map_err(|error| error.to_string());
        assert_eq!(
            (of("/queue/"), of("/"), of(""), of("/a/b")),
            (Ok("/queue".into()), Ok(String::new()), Ok(String::new()), Ok("/a/b".into()))
        );
        for bad in ["queue", "//evil.example", "/a b", "/a?b", "/\"", "/a//b"] {
            assert!(of(bad).expect_err(bad).contains("like /queue"), "{bad}");
        }
    }

    #[test]
    fn a_user_needs_a_password_and_a_password_a_user() {
        let over = |user: Option<&str>, password: Option<&str>| {
            let settings = AccessSettings {
                user: user.map(Into::into),
                password: password.map(Into::into),
                ..AccessSettings::default()
            };
            settings.over(&Web::default()).map(|entry| entry.access.accounts.len()).map_err(|error| error.to_string())
        };
        assert_eq!((over(None, None), over(Some("a"), Some("b"))), (Ok(0), Ok(1)));
        assert!(over(Some("a"), None).expect_err("no password").contains("PGQUEUER_WEB_PASSWORD"));
        assert!(over(None, Some("b")).expect_err("no user").contains("PGQUEUER_WEB_USER"));
        assert!(over(Some("a:b"), Some("b")).is_err());
    }
}
