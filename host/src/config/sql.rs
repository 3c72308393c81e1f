//! `[plugins.NAME.sql]`: the role as which a plugin may use the database, or another one.

use serde::Deserialize;

use super::units::parse_bytes;
use super::value::SecretSection;
use pgq_engine::SqlGrant;
use pgq_sql::Elsewhere;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(super) struct SqlSection {
    role: Option<String>,
    /// Of another database, with the role in it.
    dsn: Option<String>,
    password: Option<SecretSection>,
    statements: Option<u64>,
    rows: Option<u64>,
    bytes: Option<String>,
    lock_timeout: Option<String>,
}

impl SqlSection {
    pub(super) fn grant(self) -> Result<SqlGrant, String> {
        let (role, elsewhere) = match (self.role, self.dsn) {
            (Some(role), None) => (role, None),
            (None, Some(dsn)) => (Elsewhere::read(&dsn).map_err(|mistake| format!("dsn: {mistake}"))?.role, Some(dsn)),
            (None, None) => {
                return Err("there is no role; name one that may log in, or the dsn of another database".into());
            }
            (Some(_), Some(_)) => {
                return Err("there are a role and a dsn; leave out the role, which the dsn names, or the dsn to use the queue's \
                            database".into());
            }
        };
        if role.is_empty() || role.len() > 63 || role.contains('\0') {
            return Err(format!("role is {role:?}; name a role of 1 to 63 bytes that may log in"));
        }
        let mut grant = SqlGrant { elsewhere, ..SqlGrant::new(role) };
        if let Some(SecretSection { source, origins }) = self.password {
            if origins.is_some() {
                return Err("the password goes to the database and has no origins; leave them out".into());
            }
            grant.password = Some(source.read().map_err(|mistake| format!("password: {mistake}"))?);
        }
        let count = |key: &str, value: Option<u64>, default: u64| match value {
            Some(0) => Err(format!("{key} is 0; leave `sql` out to grant nothing")),
            value => Ok(value.unwrap_or(default)),
        };
        grant.statements = count("statements", self.statements, grant.statements)?;
        grant.rows = count("rows", self.rows, grant.rows)?;
        if let Some(text) = self.bytes {
            let bytes = parse_bytes(&text).map_err(|mistake| format!("bytes is {text:?}: {mistake}"))?;
            grant.bytes = count("bytes", Some(bytes), bytes)?;
        }
        if let Some(text) = self.lock_timeout {
            grant.lock_timeout = humantime::parse_duration(&text)
                .ok()
                .filter(|time| !time.is_zero())
                .ok_or_else(|| format!("lock-timeout is {text:?}, which is not a duration like \"5s\""))?;
        }
        Ok(grant)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_section_is_a_grant_and_a_mistake_is_named() {
        let read = |text: &str| toml::from_str::<SqlSection>(text).map_err(|error| error.to_string())?.grant();
        let grant =
            read("role = \"orders\"\nstatements = 5\nbytes = \"1MiB\"\nlock-timeout = \"3s\"").expect("a grant");
        assert_eq!((&*grant.role, grant.statements, grant.rows), ("orders", 5, SqlGrant::new("x").rows));
        assert_eq!((grant.bytes, grant.lock_timeout), (1 << 20, Duration::from_secs(3)));
        let grant = read("dsn = \"postgresql://stock@localhost/goods\"").expect("a grant");
        assert_eq!((&*grant.role, grant.elsewhere.is_some()), ("stock", true));
        for (text, part) in [
            ("", "role"),
            ("role = \"\"", "63 bytes"),
            ("role = \"r\"\nrows = 0", "rows is 0"),
            ("role = \"r\"\npassword = \"plain\"", "secret"),
            ("role = \"r\"\nlock-timeout = \"soon\"", "soon"),
            ("role = \"r\"\ndsn = \"postgresql://r@localhost/d\"", "leave out the role"),
            ("dsn = \"postgresql://r:s3cret@localhost/d\"", "password"),
            ("dsn = \"postgresql://r@warehouse/d\"", "sslmode"),
        ] {
            let mistake = read(text).expect_err(text);
            assert!(mistake.contains(part), "{text}: {mistake}");
        }
    }
}
