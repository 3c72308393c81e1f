//! A DSN as libpq reads it, checked and rewritten into the one form that the driver reads
//! correctly: everything in the query.
//!
//! The driver takes any scheme, resolves IPv6 addresses with their brackets, and ignores what it
//! does not know, such as a misspelt `sslmode`. No error here repeats what may be a password.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

const FORM: &str = "write it like postgresql://user@host:5432/database";

/// Parameters of libpq that make no difference here.
const WITHOUT_EFFECT: [&str; 17] = [
    "client_encoding",
    "fallback_application_name",
    "gssdelegation",
    "gssencmode",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "ssl_max_protocol_version",
    "ssl_min_protocol_version",
    "sslcompression",
    "sslsni",
    "tcp_user_timeout",
];

/// Parameters that the driver reads.
const READ: [&str; 18] = [
    "application_name",
    "dbname",
    "host",
    "hostaddr",
    "options",
    "password",
    "port",
    "ssl-ca",
    "ssl-cert",
    "ssl-key",
    "ssl-mode",
    "ssl-root-cert",
    "sslcert",
    "sslkey",
    "sslmode",
    "sslrootcert",
    "statement-cache-capacity",
    "user",
];

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Dsn {
    /// The DSN for the driver.
    pub(super) url: String,
    pub(super) connect_timeout: Option<Duration>,
    /// Parameters of the query, not decoded.
    pub(super) parameters: Vec<(String, String)>,
}

impl Dsn {
    pub(super) fn read(text: &str) -> Result<Dsn, String> {
        let Some((scheme, rest)) = text.split_once("://") else {
            return Err(match text.contains('=') {
                true => format!("the DSN is a list of settings (key=value), which is not read; {FORM}"),
                false => format!("the DSN cannot be read; {FORM}"),
            });
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "postgresql" | "postgres") {
            let shown = if scheme.len() <= 20 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            {
                scheme
            } else {
                "?"
            };
            return Err(format!("the DSN begins with {shown}://, which is no address of PostgreSQL; {FORM}"));
        }
        check_characters(rest)?;
        let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, database) = place.split_once('/').unwrap_or((place, ""));
        if database.contains('@')
            || query.split('&').next().is_some_and(|first| !first.contains('=') && first.contains('@'))
        {
            return Err("the DSN has an @ behind its address: write / ? @ and : within a user or a password as %2F %3F %40 and %3A".into());
        }
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let mut dsn = Dsn { url: format!("postgresql:///{database}?"), connect_timeout: None, parameters: Vec::new() };
        let (user, password) = login.split_once(':').unwrap_or((login, ""));
        let (host, port) = address(hosts)?;
        for (name, value) in [("user", user), ("password", password), ("host", &host), ("port", port)] {
            if !value.is_empty() {
                dsn.push(name, value)?;
            }
        }
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let Some((name, value)) = pair.split_once('=') else {
                return Err(format!("a parameter of the DSN has no value; {FORM}?name=value&name=value"));
            };
            dsn.parameters.push((name.to_owned(), value.to_owned()));
            dsn.push(name, value)?;
        }
        Ok(dsn)
    }

    /// The value is percent-encoded already, except for characters that have a meaning in a query.
    fn push(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "connect_timeout" => {
                let seconds: i64 = value
                    .parse()
                    .map_err(|_| format!("connect_timeout in the DSN is {value:?}, not a number of seconds"))?;
                // To libpq, zero or less is no limit. A year is as good as none.
                self.connect_timeout = Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
                if seconds <= 0 {
                    self.connect_timeout = Some(Duration::from_secs(365 * 24 * 3600));
                }
                return Ok(());
            }
            "host" | "port" | "hostaddr" if value.contains(',') => return Err(several(value)),
            "port" => drop(checked_port(value)?),
            "hostaddr" if decoded(value).parse::<IpAddr>().is_err() => {
                return Err(format!("hostaddr in the DSN is {value:?}, which is no IP address; host takes names"));
            }
            name if WITHOUT_EFFECT.contains(&name) => return Ok(()),
            name if READ.contains(&name) || name.starts_with("options[") => {}
            // Refused elsewhere, with a reason of its own.
            name if super::unsupported::is_refused(name) => return Ok(()),
            name => {
                return Err(format!("the DSN has a parameter {name:?} that nobody knows; correct it, or take it out"));
            }
        }
        // A plus is a plus to libpq, but a blank in the query of a URL.
        let value = value.replace('+', "%2B").replace('&', "%26").replace('#', "%23");
        let _ = write!(self.url, "{name}={value}&");
        Ok(())
    }
}

fn check_characters(rest: &str) -> Result<(), String> {
    if rest.contains('#') {
        return Err("the DSN has a #: write it as %23".into());
    }
    if rest.chars().any(|c| c.is_control()) {
        return Err("the DSN has a control character, a newline perhaps: take it out, or write it as %0A".into());
    }
    let hex = |at: usize| rest.as_bytes().get(at).is_some_and(u8::is_ascii_hexdigit);
    match rest.match_indices('%').find(|(at, _)| !hex(at + 1) || !hex(at + 2) || &rest[at + 1..at + 3] == "00") {
        Some(_) => {
            Err("the DSN has a % that is not followed by two hexadecimal digits: write a % itself as %25".into())
        }
        None => Ok(()),
    }
}

/// Host and port, each empty where it is missing.
fn address(text: &str) -> Result<(String, &str), String> {
    if let Some((inside, behind)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        if behind.contains(',') {
            return Err(several(text));
        }
        let plain = inside.split('%').next().unwrap_or(inside);
        if plain.parse::<Ipv6Addr>().is_err() {
            return Err(format!("the DSN has {inside:?} in brackets, which is no IPv6 address"));
        }
        let port = match behind.strip_prefix(':') {
            Some(port) => checked_port(port)?,
            None if behind.is_empty() => "",
            None => return Err("the DSN has something behind the ] of its address that is not :port".into()),
        };
        return Ok((inside.to_owned(), port));
    }
    if text.contains(',') {
        return Err(several(text));
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(format!("an IPv6 address in a DSN stands in brackets; {FORM}, with [::1] as host"))
        }
        Some((host, port)) => Ok((host.to_owned(), checked_port(port)?)),
        None => Ok((text.to_owned(), "")),
    }
}

pub(super) fn several(hosts: &str) -> String {
    format!(
        "several hosts or ports are named ({hosts}), and a host of pgq-host connects to one: name the primary server, or an address that follows it"
    )
}

/// A port, or empty. A text that is no number is not repeated: it may be half a password.
pub(super) fn checked_port(port: &str) -> Result<&str, String> {
    match port.parse::<u32>() {
        _ if port.is_empty() => Ok(port),
        Ok(1..=65535) if port.bytes().all(|digit| digit.is_ascii_digit()) => Ok(port),
        Ok(number) => Err(format!("the port {number} is not from 1 to 65535")),
        Err(_) => Err("the port is not a number from 1 to 65535".into()),
    }
}

/// Percent-decoded, only to check it.
fn decoded(value: &str) -> String {
    value.replace("%3A", ":").replace("%3a", ":")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(dsn: &str) -> String {
        Dsn::read(dsn).map(|dsn| dsn.url.trim_end_matches('&').to_owned()).unwrap_or_else(|error| format!("! {error}"))
    }

    #[test]
    fn what_libpq_takes_is_taken() {
        for (dsn, read) in [
            ("postgresql://u@[::1]:5432/db", "postgresql:///db?user=u&host=::1&port=5432"),
            ("postgres://u:p@h/db", "postgresql:///db?user=u&password=p&host=h"),
            ("postgresql://u:p%40w+x@h:1", "postgresql:///?user=u&password=p%40w%2Bx&host=h&port=1"),
            ("postgresql://u@[fe80::1%25eth0]/db", "postgresql:///db?user=u&host=fe80::1%25eth0"),
            ("postgresql://u@/db", "postgresql:///db?user=u"),
            ("postgresql://u@:5433/db", "postgresql:///db?user=u&port=5433"),
            ("postgresql://%2Frun%2Fpg/db", "postgresql:///db?host=%2Frun%2Fpg"),
            ("postgresql:///db?host=/run/pg&port=5433", "postgresql:///db?host=/run/pg&port=5433"),
            ("postgresql://", "postgresql:///?"),
            ("postgresql://h:/db?keepalives=1&sslmode=require", "postgresql:///db?host=h&sslmode=require"),
        ] {
            assert_eq!(
                url(dsn),
                read.trim_end_matches('?').to_owned() + if read.ends_with('?') { "?" } else { "" },
                "{dsn}"
            );
        }
        let timeout = |dsn| Dsn::read(dsn).ok().and_then(|dsn| dsn.connect_timeout);
        assert_eq!(timeout("postgresql://h/d?connect_timeout=7"), Some(Duration::from_secs(7)));
        assert!(timeout("postgresql://h/d?connect_timeout=0") > Some(Duration::from_secs(1_000_000)));
    }

    #[test]
    fn what_cannot_be_read_is_named_and_no_password_is() {
        for (dsn, said) in [
            ("mysql://u@h/db", "mysql://"),
            ("host=h dbname=d password=secret", "key=value"),
            ("localhost", "postgresql://user@host"),
            ("postgresql://u:secret@a:1,b:2/db", "several hosts or ports are named (a:1,b:2)"),
            ("postgresql://h/db?host=a,b", "several"),
            ("postgresql://h/db?port=1,2", "several"),
            ("postgresql://u:secret@h:99999/db", "99999"),
            ("postgresql://u:secret@h:0/db", "from 1 to 65535"),
            ("postgresql://u:secret@h:abc/db", "not a number"),
            ("postgresql://u:sec/secret@h/db", "%2F"),
            ("postgresql://u:sec#secret@h/db", "%23"),
            ("postgresql://u:100%secret@h/db", "%25"),
            ("postgresql://u@[::g]/db", "::g"),
            ("postgresql://u@[::1]x/db", "behind the ]"),
            ("postgresql://u@::1/db", "brackets"),
            ("postgresql://h/db?sslmod=require", "\"sslmod\""),
            ("postgresql://h/db?sslmode", "no value"),
            ("postgresql://h/db?hostaddr=localhost", "no IP address"),
            ("postgresql://h/db?connect_timeout=soon", "soon"),
            ("postgresql://h/db\n", "newline"),
        ] {
            let found = url(dsn);
            assert!(found.starts_with("! ") && found.contains(said) && !found.contains("secret"), "{dsn}: {found}");
        }
    }
}
