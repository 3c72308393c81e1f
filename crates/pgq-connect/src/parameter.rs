//! libpq's parameters: their variables, and what becomes of each.

/// What becomes of a parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Read,
    /// It makes no difference here.
    WithoutEffect,
    /// Harmless values, and a remedy for all others. To connect elsewhere, or with fewer checks than
    /// were asked for, is worse than not to connect.
    Refused(&'static [&'static str], &'static str),
}

#[derive(Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// Where libpq reads it from if nothing else names it.
    pub(crate) variable: Option<&'static str>,
    pub(crate) kind: Kind,
}

const fn read(name: &'static str, variable: &'static str) -> Parameter {
    Parameter { name, variable: Some(variable), kind: Kind::Read }
}

const fn unnamed(name: &'static str, kind: Kind) -> Parameter {
    Parameter { name, variable: None, kind }
}

const fn refused(
    name: &'static str,
    variable: &'static str,
    harmless: &'static [&'static str],
    remedy: &'static str,
) -> Parameter {
    Parameter { name, variable: Some(variable), kind: Kind::Refused(harmless, remedy) }
}

const NO_KERBEROS: &str = "there is no encryption by GSSAPI here; use TLS (sslmode=verify-full)";

pub(crate) const PARAMETERS: [Parameter; 56] = [
    read("application_name", "PGAPPNAME"),
    read("channel_binding", "PGCHANNELBINDING"),
    // Its variable, and PgQueuer's before it, belong to whoever counts the time.
    unnamed("connect_timeout", Kind::Read),
    read("dbname", "PGDATABASE"),
    read("host", "PGHOST"),
    read("hostaddr", "PGHOSTADDR"),
    read("load_balance_hosts", "PGLOADBALANCEHOSTS"),
    read("options", "PGOPTIONS"),
    read("passfile", "PGPASSFILE"),
    read("password", "PGPASSWORD"),
    read("port", "PGPORT"),
    read("service", "PGSERVICE"),
    read("servicefile", "PGSERVICEFILE"),
    read("ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION"),
    read("ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION"),
    read("sslcert", "PGSSLCERT"),
    read("sslcertmode", "PGSSLCERTMODE"),
    read("sslcrl", "PGSSLCRL"),
    read("sslkey", "PGSSLKEY"),
    read("sslmode", "PGSSLMODE"),
    read("sslnegotiation", "PGSSLNEGOTIATION"),
    read("sslrootcert", "PGSSLROOTCERT"),
    read("sslsni", "PGSSLSNI"),
    read("target_session_attrs", "PGTARGETSESSIONATTRS"),
    read("user", "PGUSER"),
    // The driver's.
    unnamed("statement-cache-capacity", Kind::Read),
    refused("gssencmode", "PGGSSENCMODE", &["disable", "prefer"], NO_KERBEROS),
    refused(
        "require_auth",
        "PGREQUIREAUTH",
        &[],
        "the way to authenticate is the server's choice; use channel_binding=require, or say it in pg_hba.conf",
    ),
    refused("requirepeer", "PGREQUIREPEER", &[], "the peer's user is not checked; use TLS with sslmode=verify-full"),
    refused("sslcrldir", "PGSSLCRLDIR", &[], "revocation lists are read from one file: sslcrl"),
    unnamed(
        "sslpassword",
        Kind::Refused(
            &[],
            "keys that are encrypted are not read; decrypt it (openssl pkey -in KEY -out PLAIN) into a file that only the host may read",
        ),
    ),
    unnamed("replication", Kind::Refused(&["false", "off", "no", "0"], "a queue is not read by replication")),
    unnamed("oauth_issuer", Kind::Refused(&[], NO_OAUTH)),
    unnamed("oauth_client_id", Kind::Refused(&[], NO_OAUTH)),
    unnamed("oauth_client_secret", Kind::Refused(&[], NO_OAUTH)),
    unnamed("oauth_scope", Kind::Refused(&[], NO_OAUTH)),
    unnamed("scram_client_key", Kind::Refused(&[], NO_SCRAM_KEY)),
    unnamed("scram_server_key", Kind::Refused(&[], NO_SCRAM_KEY)),
    unnamed("sslkeylogfile", Kind::Refused(&[], "the keys of sessions are written nowhere")),
    unnamed("client_encoding", Kind::WithoutEffect),
    unnamed("fallback_application_name", Kind::WithoutEffect),
    unnamed("gssdelegation", Kind::WithoutEffect),
    unnamed("gsslib", Kind::WithoutEffect),
    unnamed("keepalives", Kind::WithoutEffect),
    unnamed("keepalives_count", Kind::WithoutEffect),
    unnamed("keepalives_idle", Kind::WithoutEffect),
    unnamed("keepalives_interval", Kind::WithoutEffect),
    unnamed("krbsrvname", Kind::WithoutEffect),
    unnamed("max_protocol_version", Kind::WithoutEffect),
    unnamed("min_protocol_version", Kind::WithoutEffect),
    unnamed("sslcompression", Kind::WithoutEffect),
    unnamed("tcp_user_timeout", Kind::WithoutEffect),
    unnamed("tty", Kind::WithoutEffect),
    unnamed("authtype", Kind::WithoutEffect),
    refused("requiressl", "PGREQUIRESSL", &["0"], "set sslmode=require"),
    unnamed("ssl", Kind::Refused(&["false"], "write sslmode=require, or sslmode=verify-full")),
];

const NO_OAUTH: &str =
    "tokens of OAuth are not asked for; give one by PGQ_HOST_PASSWORD_COMMAND where the server takes it as a password";
const NO_SCRAM_KEY: &str = "a login needs the password itself";

/// The driver's spellings.
const ALIASES: [(&str, &str); 5] = [
    ("ssl-ca", "sslrootcert"),
    ("ssl-cert", "sslcert"),
    ("ssl-key", "sslkey"),
    ("ssl-mode", "sslmode"),
    ("ssl-root-cert", "sslrootcert"),
];

/// All variables that are read.
pub fn variables() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().filter_map(|parameter| parameter.variable)
}

impl Parameter {
    pub(crate) fn named(name: &str) -> Option<&'static Parameter> {
        let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, real)| real);
        PARAMETERS.iter().find(|parameter| parameter.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_is_there_once() {
        for (at, parameter) in PARAMETERS.iter().enumerate() {
            assert!(PARAMETERS[..at].iter().all(|other| other.name != parameter.name), "{}", parameter.name);
        }
        assert!(ALIASES.iter().all(|(_, real)| Parameter::named(real).is_some_and(|found| found.name == *real)));
    }
}
