//! A URI as libpq reads it. No error repeats what may be a password.

use std::net::Ipv6Addr;

use crate::percent::decoded;

const FORM: &str = "write it like postgresql://user@host:5432/database";

/// The parameters in their order, decoded. A later one counts.
pub(crate) fn read(text: &str) -> Result<Vec<(String, String)>, String> {
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!("the DSN cannot be read; {FORM}"));
    };
    if !matches!(scheme.to_ascii_lowercase().as_str(), "postgresql" | "postgres") {
        let plain = scheme.len() <= 20 && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
        let shown = if plain { scheme } else { "?" };
        return Err(format!("the DSN begins with {shown}://, which is no address of PostgreSQL; {FORM}"));
    }
    check_characters(rest)?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, database) = place.split_once('/').unwrap_or((place, ""));
    if database.contains('@')
        || query.split('&').next().is_some_and(|first| !first.contains('=') && first.contains('@'))
    {
        return Err(
            "the DSN has an @ behind its address: write / ? @ and : within a user or a password as %2F %3F %40 and %3A"
                .into(),
        );
    }
    let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let (hosts, ports) = addresses(hosts)?;
    let mut found = Vec::new();
    for (name, value) in
        [("user", user), ("password", password), ("host", &hosts), ("port", &ports), ("dbname", database)]
    {
        if !value.is_empty() {
            found.push((name.to_owned(), text_of(value)?));
        }
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(format!("a parameter of the DSN has no value; {FORM}?name=value&name=value"));
        };
        // libpq's courtesy to JDBC.
        let (name, value) = if (name, value) == ("ssl", "true") { ("sslmode", "require") } else { (name, value) };
        found.push((text_of(name)?, text_of(value)?));
    }
    Ok(found)
}

fn text_of(part: &str) -> Result<String, String> {
    decoded(part).ok_or_else(|| "the DSN has bytes behind its % that are no text in UTF-8".to_owned())
}

fn check_characters(rest: &str) -> Result<(), String> {
    if rest.contains('#') {
        return Err("the DSN has a #: write it as %23".into());
    }
    if rest.chars().any(char::is_control) {
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

/// Hosts and ports as lists with commas, as parameters name them: one of each per address, or nothing
/// where none is named.
fn addresses(text: &str) -> Result<(String, String), String> {
    let pairs = text.split(',').map(address).collect::<Result<Vec<_>, _>>()?;
    let joined = |parts: Vec<&str>| {
        if parts.iter().all(|part| part.is_empty()) && parts.len() == 1 { String::new() } else { parts.join(",") }
    };
    let ports: Vec<&str> = pairs.iter().map(|(_, port)| *port).collect();
    let ports = if ports.iter().all(|port| port.is_empty()) { String::new() } else { joined(ports) };
    Ok((joined(pairs.iter().map(|(host, _)| *host).collect()), ports))
}

/// Host and port, each empty where it is missing.
fn address(text: &str) -> Result<(&str, &str), String> {
    if let Some((inside, behind)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let plain = inside.split('%').next().unwrap_or(inside);
        if plain.parse::<Ipv6Addr>().is_err() {
            return Err(format!("the DSN has {inside:?} in brackets, which is no IPv6 address"));
        }
        return match behind.strip_prefix(':') {
            Some(port) => Ok((inside, port)),
            None if behind.is_empty() => Ok((inside, "")),
            None => Err("the DSN has something behind the ] of its address that is not :port".into()),
        };
    }
    match text.split_once(':') {
        Some((_, port)) if port.contains(':') => {
            Err(format!("an IPv6 address in a DSN stands in brackets; {FORM}, with [::1] as host"))
        }
        Some((host, port)) => Ok((host, port)),
        None => Ok((text, "")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libpq_takes_is_taken() {
        for (dsn, wanted) in [
            ("postgresql://u@[::1]:5432/db", "user=u host=::1 port=5432 dbname=db"),
            ("postgres://u:p@h/db", "user=u password=p host=h dbname=db"),
            ("postgresql://u:p%40w+x@h:1", "user=u password=p@w+x host=h port=1"),
            ("postgresql://u@[fe80::1%25eth0]/db", "user=u host=fe80::1%eth0 dbname=db"),
            ("postgresql://u@/db", "user=u dbname=db"),
            ("postgresql://u@:5433/db", "user=u port=5433 dbname=db"),
            ("postgresql://%2Frun%2Fpg/db", "host=/run/pg dbname=db"),
            ("postgresql:///db?host=/run/pg&port=5433", "dbname=db host=/run/pg port=5433"),
            ("postgresql://", ""),
            ("postgresql://h:/db?ssl=true", "host=h dbname=db sslmode=require"),
            ("postgresql://a,b:2,[::1]:3/db", "host=a,b,::1 port=,2,3 dbname=db"),
            ("postgresql://a,b/db?target_session_attrs=primary", "host=a,b dbname=db target_session_attrs=primary"),
        ] {
            let found = read(dsn).expect(dsn);
            let found: Vec<String> = found.iter().map(|(name, value)| format!("{name}={value}")).collect();
            assert_eq!(found.join(" "), wanted, "{dsn}");
        }
    }
}
