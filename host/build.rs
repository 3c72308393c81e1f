//! Tells the binary which revision it was built from: that of the surrounding repository, that of
//! the package it came in, or `PGQ_HOST_REVISION` (an image is built without the repository). It
//! only reads files, since git may not be installed.
//!
//! It also lists the files of the SDKs and templates, which `plugin new` writes, so that nobody has to
//! remember to add one.

use std::path::{Path, PathBuf};
use std::{env, fs};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=PGQ_HOST_REVISION");
    let package = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let told = env::var("PGQ_HOST_REVISION").ok().filter(|revision| !revision.is_empty());
    let revision = told.or_else(|| of_package(&package)).or_else(|| package.parent().and_then(of_repository));
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets it");
    let build =
        revision.map_or(version.clone(), |revision| format!("{version}+{}", revision.get(..12).unwrap_or(&revision)));
    println!("cargo::rustc-env=PGQ_HOST_BUILD={build}");
    let list = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("sdk_files.rs");
    fs::write(list, sdk_files(&package)).expect("the list of the SDK's files can be written");
    let list = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it")).join("language_files.rs");
    fs::write(list, language_files(&package)).expect("the list of the languages' files can be written");
}

/// Constant arrays of paths and bytes: the template and the SDK of each language other than Rust, the
/// interface, and the licences. `sdks` is a link that leads out of this folder, as `sdk` and `wit` are.
fn language_files(package: &Path) -> String {
    let mut text = String::new();
    for (name, folder) in [
        ("PYTHON", "src/scaffold/python"),
        ("JS", "src/scaffold/js"),
        ("TS", "src/scaffold/ts"),
        ("GO", "src/scaffold/go"),
        ("C", "src/scaffold/c"),
        ("PYTHON_SDK", "sdks/python/pgq"),
        ("JS_SDK", "sdks/js"),
        ("GO_SDK", "sdks/go"),
        ("C_SDK", "sdks/c"),
        ("WIT", "wit"),
    ] {
        println!("cargo::rerun-if-changed={}", package.join(folder).display());
        let mut files = Vec::new();
        collect(&package.join(folder), "", &mut files);
        text += &array(name, folder.starts_with("src"), files);
    }
    let licences = ["LICENSE-MIT", "LICENSE-APACHE"].map(|name| (name.to_owned(), package.join(name)));
    text + &array("LICENCES", false, licences.into())
}

/// Files of templates have names that no tool takes for its own here: `gitignore`, `go.mod.in`. Tests of
/// an SDK, and what tools left in its folder, are no part of it.
fn array(name: &str, template: bool, mut files: Vec<(String, PathBuf)>) -> String {
    let other = ["__pycache__", "node_modules", "build", "dist", "test", "tests", "LICENSE-MIT", "LICENSE-APACHE"];
    files.sort();
    let lines = files.iter().filter_map(|(path, file)| {
        let path = path.trim_start_matches('/');
        let hidden = path.split('/').any(|part| part.starts_with('.') || part.ends_with(".egg-info"));
        if hidden || (!template && path.split('/').any(|part| other.contains(&part))) {
            return None;
        }
        let path = path.strip_suffix(".in").unwrap_or(path);
        let path = if template && ["gitignore", "npmrc"].contains(&path) { format!(".{path}") } else { path.into() };
        Some(format!("    ({path:?}, include_bytes!({file:?})),\n"))
    });
    format!("pub(super) const {name}: &[super::File] = &[\n{}];\n", lines.collect::<String>())
}

/// An array of the files' paths in the SDK and their texts. `sdk` and `wit` are links that lead out
/// of this folder. `cargo package` copies what they point to.
fn sdk_files(package: &Path) -> String {
    let mut files = vec![
        ("LICENSE-MIT".to_owned(), package.join("LICENSE-MIT")),
        ("LICENSE-APACHE".to_owned(), package.join("LICENSE-APACHE")),
    ];
    for (folder, name) in [("sdk", "src"), ("wit", "wit")] {
        println!("cargo::rerun-if-changed={}", package.join(folder).display());
        collect(&package.join(folder), name, &mut files);
    }
    files.sort();
    let line = |(name, path): &(String, PathBuf)| format!("    ({name:?}, include_str!({path:?})),\n");
    format!("[\n{}]\n", files.iter().map(line).collect::<String>())
}

fn collect(folder: &Path, name: &str, files: &mut Vec<(String, PathBuf)>) {
    for entry in fs::read_dir(folder).expect("a folder of the SDK or a template") {
        let path = entry.expect("an entry").path();
        let name = format!("{name}/{}", path.file_name().expect("a name").to_string_lossy());
        if path.is_dir() { collect(&path, &name, files) } else { files.push((name, path)) }
    }
}

/// The revision that `cargo package` recorded.
fn of_package(package: &Path) -> Option<String> {
    let noted = fs::read_to_string(package.join(".cargo_vcs_info.json")).ok()?;
    let (_, rest) = noted.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

/// The commit that HEAD points to. Only watch files that exist: cargo treats a missing file as
/// changed, and would run this for every build.
fn of_repository(root: &Path) -> Option<String> {
    let git = root.join(".git");
    // A worktree has a file that names its own folder. What it shares with other worktrees is in
    // yet another place.
    let folder = match fs::read_to_string(&git) {
        Ok(file) => root.join(file.strip_prefix("gitdir:")?.trim()),
        Err(_) => git,
    };
    let shared = fs::read_to_string(folder.join("commondir"))
        .map_or_else(|_| folder.clone(), |common| folder.join(common.trim()));
    let head = watched(&folder.join("HEAD"))?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return Some(head.trim().to_owned()) };
    // Grows with every move of HEAD, even while its branch is in `packed-refs`, which lasts until
    // the next commit.
    watched(&folder.join("logs/HEAD"));
    match watched(&shared.join(name)) {
        Some(revision) => Some(revision.trim().to_owned()),
        None => {
            let packed = watched(&shared.join("packed-refs"))?;
            let line = packed.lines().find_map(|line| line.strip_suffix(name)?.strip_suffix(' '));
            line.map(str::to_owned)
        }
    }
}

fn watched(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    println!("cargo::rerun-if-changed={}", path.display());
    Some(text)
}
