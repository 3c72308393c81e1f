//! Finds the server's programs: where the user says, else on this machine, else by a download.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use super::downloads::{self, VARIABLE};
use super::error::EmbeddedError;
use super::user::ServerUser;

/// The oldest PostgreSQL that `pgq-host run` supports.
const OLDEST: u32 = 14;

/// Where packages install the programs of each version. `*` stands for the version.
const PACKAGE_DIRS: [&str; 6] = [
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec/postgresql*",
    "/opt/homebrew/opt/postgresql@*/bin",
    "/usr/local/opt/postgresql@*/bin",
    "/Applications/Postgres.app/Contents/Versions/*/bin",
];

/// A folder with `postgres` and `initdb` that the server's user can run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

/// The programs for a cluster of version `made_by`, or for a new one.
pub(super) async fn find(
    named: Option<&Path>,
    made_by: Option<u32>,
    data: &Path,
    user: &ServerUser,
) -> Result<Binaries, EmbeddedError> {
    let variable = std::env::var_os(VARIABLE).filter(|dir| !dir.is_empty()).map(PathBuf::from);
    let named = named.map(|dir| ("the configuration", dir.to_owned())).or(variable.map(|dir| (VARIABLE, dir)));
    if let Some((origin, dir)) = named {
        let found = probe(&dir, user).map_err(|reason| EmbeddedError::BadBinaries { origin, dir, reason })?;
        return agree(found, made_by, data);
    }
    let mut found = Vec::new();
    let mut rejected = Vec::new();
    for dir in candidates(user) {
        match probe(&dir, user) {
            Ok(binaries) if made_by.is_none_or(|major| major == binaries.major) => return Ok(binaries),
            Ok(binaries) => found.push(binaries),
            Err(reason) => rejected.push(format!("{}: {reason}", dir.display())),
        }
    }
    match (found.into_iter().next(), made_by) {
        (Some(other), Some(major)) if major != downloads::MAJOR => return agree(other, made_by, data),
        _ => {}
    }
    let dir = downloads::fetch(user, &rejected).await?;
    let origin = "the download";
    let found = probe(&dir, user).map_err(|reason| EmbeddedError::BadBinaries { origin, dir, reason })?;
    agree(found, made_by, data)
}

fn agree(found: Binaries, made_by: Option<u32>, data: &Path) -> Result<Binaries, EmbeddedError> {
    match made_by {
        Some(made_by) if made_by != found.major => Err(EmbeddedError::OtherMajor {
            data: data.to_owned(),
            made_by,
            found: format!("PostgreSQL {} in {}", found.major, found.dir.display()),
        }),
        _ => Ok(found),
    }
}

/// Folders to try, best first.
fn candidates(user: &ServerUser) -> Vec<PathBuf> {
    let pg_config = Command::new("pg_config").arg("--bindir").stderr(Stdio::null()).output();
    let configured = pg_config.ok().map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()));
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A link to the program (/usr/bin/postgres) leads to its folder.
    let on_path = std::env::split_paths(&path)
        .find_map(|dir| dir.join("postgres").canonicalize().ok())
        .and_then(|program| Some(program.parent()?.to_owned()));
    let packaged = PACKAGE_DIRS.iter().flat_map(|place| newest_first(expand(place)));
    let all = configured.into_iter().chain(on_path).chain(packaged).chain(downloads::cached(user));
    let mut seen = HashSet::new();
    all.filter(|dir| dir.join("postgres").is_file() && dir.join("initdb").is_file())
        .filter(|dir| seen.insert(dir.canonicalize().unwrap_or_else(|_| dir.clone())))
        .collect()
}

/// The folders that match a pattern with one `*`, each with the number in that place.
fn expand(pattern: &str) -> Vec<(f64, PathBuf)> {
    let (before, after) = pattern.split_once('*').unwrap_or((pattern, ""));
    let (parent, prefix) = before.rsplit_once('/').unwrap_or(("", before));
    let Ok(entries) = fs::read_dir(parent) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let versions = names.filter_map(|name| {
        let version = name.strip_prefix(prefix)?.parse().ok()?;
        Some((version, PathBuf::from(format!("{parent}/{name}{after}"))))
    });
    versions.collect()
}

fn newest_first(mut versions: Vec<(f64, PathBuf)>) -> Vec<PathBuf> {
    versions.sort_by(|a, b| b.0.total_cmp(&a.0));
    versions.into_iter().map(|(_, dir)| dir).collect()
}

/// Run `postgres --version` as the server's user. That shows the version, and that this user can
/// reach the program and it runs on this machine.
fn probe(dir: &Path, user: &ServerUser) -> Result<Binaries, String> {
    let dir = dir.canonicalize().map_err(|e| e.to_string())?;
    if !dir.join("initdb").is_file() {
        return Err("it has no initdb".into());
    }
    let mut postgres = user.command(&dir.join("postgres"), Path::new("/"), Signal::KILL);
    let out =
        postgres.arg("--version").output().map_err(|e| format!("user {} cannot run postgres: {e}", user.name()))?;
    let text = String::from_utf8_lossy(&out.stdout);
    let Some(major) = major_of(&text) else {
        return Err(format!(
            "postgres --version says {:?}",
            format!("{text}{}", String::from_utf8_lossy(&out.stderr)).trim()
        ));
    };
    if major < OLDEST {
        return Err(format!("it is PostgreSQL {major}, and {OLDEST} is the oldest supported"));
    }
    Ok(Binaries { dir, major })
}

/// `postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)` is 15, and so are `15beta1` and
/// `15devel`.
fn major_of(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL) ")?.1;
    let digits: String = number.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(major_of("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major_of("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_of("postgres (PostgreSQL) 9.6.24"), Some(9));
        assert_eq!(major_of("command not found"), None);
    }

    #[test]
    fn the_newest_comes_first_by_number() {
        let home = tempfile::tempdir().expect("a folder");
        for name in ["9.6", "14", "17", "common", "100"] {
            fs::create_dir_all(home.path().join(name).join("bin")).expect("a folder");
        }
        let root = home.path().display();
        let found = newest_first(expand(&format!("{root}/*/bin")));
        let wanted: Vec<_> = ["100", "17", "14", "9.6"].map(|v| PathBuf::from(format!("{root}/{v}/bin"))).into();
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_cluster_of_another_version_is_refused_by_name() {
        let found = Binaries { dir: "/usr/lib/postgresql/15/bin".into(), major: 15 };
        let said = agree(found, Some(13), Path::new("/srv/db/data")).expect_err("13 is not 15").to_string();
        assert!(
            said.contains("created by PostgreSQL 13") && said.contains("PostgreSQL 15 in /usr/lib/postgresql/15/bin"),
            "{said}"
        );
    }
}
