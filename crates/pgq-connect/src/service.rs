//! Service files: named sets of parameters, as libpq finds and reads them.

use std::fs;
use std::path::{Path, PathBuf};

use crate::environment::Environment;

/// Where packages look if `PGSYSCONFDIR` does not say.
const SYSTEM: &str = "/etc/postgresql-common";

/// The service's parameters in their order, the first of a name counts, and the file that has it.
pub(crate) fn find(
    name: &str,
    file: Option<&str>,
    environment: &Environment<'_>,
) -> Result<(Vec<(String, String)>, String), String> {
    let own = match file {
        Some(file) => Some(PathBuf::from(file)),
        None => environment("HOME").map(|home| Path::new(&home).join(".pg_service.conf")),
    };
    let of_system = Path::new(&environment("PGSYSCONFDIR").unwrap_or_else(|| SYSTEM.into())).join("pg_service.conf");
    // A file that somebody names is there.
    let is_named = file.is_some();
    for (place, must_be_there) in own.into_iter().map(|own| (own, is_named)).chain([(of_system, false)]) {
        let shown = place.display().to_string();
        let text = match fs::read_to_string(&place) {
            Ok(text) => text,
            Err(error) if !must_be_there && error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(format!("the service file {shown:?} cannot be read: {error}")),
        };
        if let Some(parameters) = section(&text, name).map_err(|mistake| format!("{shown}, {mistake}"))? {
            return Ok((parameters, shown));
        }
    }
    Err(format!(
        "the definition of service {name:?} is not found: it belongs as [{name}] into the file of PGSERVICEFILE, ~/.pg_service.conf, or pg_service.conf in PGSYSCONFDIR"
    ))
}

fn section(text: &str, wanted: &str) -> Result<Option<Vec<(String, String)>>, String> {
    let mut found = None;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if found.is_some() {
                break;
            }
            if name.strip_suffix(']') == Some(wanted) {
                found = Some(Vec::new());
            }
            continue;
        }
        let Some(parameters) = &mut found else { continue };
        let at = number + 1;
        if line.starts_with("ldap") {
            return Err(format!("line {at}: services are not looked up by LDAP here; write its parameters out"));
        }
        // The line is not repeated: it may hold a password.
        let Some((name, value)) = line.split_once('=') else {
            return Err(format!("line {at}: a parameter has no ="));
        };
        if matches!(name, "service" | "servicefile") {
            return Err(format!("line {at}: a service cannot name another ({name})"));
        }
        parameters.push((name.to_owned(), value.to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_found_in_the_own_file_then_in_the_systems() {
        let folder = tempfile::tempdir().expect("a folder");
        let (home, system) = (folder.path().join("home"), folder.path().join("etc"));
        for place in [&home, &system] {
            fs::create_dir(place).expect("a folder");
        }
        let text = "# ours\n[other]\nhost=x\nbroken\n\n[jobs]\r\nhost=a,b\n  port=1\nhost=c\n[more]\nservice=jobs\n";
        fs::write(home.join(".pg_service.conf"), text).expect("written");
        fs::write(system.join("pg_service.conf"), "[jobs]\nhost=z\n[system]\nhost=s\n").expect("written");
        let environment = |name: &str| match name {
            "HOME" => Some(home.display().to_string()),
            "PGSYSCONFDIR" => Some(system.display().to_string()),
            _ => None,
        };
        let find = |name: &str, file: Option<&str>| find(name, file, &environment);
        let (parameters, file) = find("jobs", None).expect("found");
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(parameters, [pair("host", "a,b"), pair("port", "1"), pair("host", "c")]);
        assert!(file.ends_with("home/.pg_service.conf"), "{file}");
        assert_eq!(find("system", None).expect("found").0, [pair("host", "s")]);
        for (name, file, said) in [
            ("other", None, "line 4"),
            ("more", None, "cannot name another"),
            ("none", None, "not found"),
            ("jobs", Some("/nowhere/file"), "cannot be read"),
        ] {
            let mistake = find(name, file).expect_err("refused");
            assert!(mistake.contains(said), "{mistake}");
        }
    }
}
