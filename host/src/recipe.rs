//! `pgq-plugin.toml`: how a plugin is built that is not a crate. Its steps, the component that they
//! write, and how to get the tools that they need.

use std::env;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::AsFd as _;
use std::path::{Component, Path, PathBuf};
use std::process::{ExitStatus, Stdio};

use serde::Deserialize;
use tokio::process::Command;

use crate::child::Group;

/// The file's name.
pub const FILE: &str = "pgq-plugin.toml";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// The component, below the plugin's folder.
    artifact: PathBuf,
    /// Commands with their arguments, run one after the other in the plugin's folder.
    steps: Vec<Vec<String>>,
    /// Environment of the steps.
    #[serde(default)]
    env: std::collections::BTreeMap<String, String>,
    /// Folders that programs are searched in before `PATH`.
    #[serde(default)]
    path: Vec<PathBuf>,
    /// The command that installs what the steps need.
    install: String,
    /// Names of files and folders that are no sources.
    #[serde(default)]
    ignore: Vec<String>,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum RecipeError {
    #[error("cannot read {}: {cause}", path.display())]
    Unreadable { path: PathBuf, cause: io::Error },
    #[error("{}: {cause}", path.display())]
    Invalid { path: PathBuf, cause: Box<toml::de::Error> },
    #[error("{}: {cause}", path.display())]
    Senseless { path: PathBuf, cause: String },
    /// The most common problem.
    #[error("{program} cannot be started: {cause}; install it with `{install}` in {}", folder.display())]
    NoTool { program: String, cause: io::Error, install: String, folder: PathBuf },
    /// A mistake in the code, or a tool that is not whole.
    #[error(
        "`{program}` could not build {} ({status}): its messages are above; if a tool is missing, run `{install}` there",
        folder.display()
    )]
    Failed { program: String, status: ExitStatus, install: String, folder: PathBuf },
    #[error("the steps of {} ended well and did not write {}", path.display(), artifact.display())]
    NoComponent { path: PathBuf, artifact: PathBuf },
}

impl Recipe {
    /// The recipe in this folder, if there is one.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, or makes no sense.
    pub fn read(folder: &Path) -> Result<Option<Recipe>, RecipeError> {
        let path = folder.join(FILE);
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(|cause| RecipeError::Unreadable { path: path.clone(), cause })?,
        };
        let recipe: Recipe = toml::from_str(&text)
            .map_err(|cause| RecipeError::Invalid { path: path.clone(), cause: Box::new(cause) })?;
        match recipe.mistake() {
            Some(cause) => Err(RecipeError::Senseless { path, cause }),
            None => Ok(Some(recipe)),
        }
    }

    fn mistake(&self) -> Option<String> {
        let inside = self.artifact.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside || self.artifact.extension() != Some(OsStr::new("wasm")) {
            return Some(format!(
                "artifact = {:?} is not the path of a .wasm file in the plugin's folder",
                self.artifact.display().to_string()
            ));
        }
        if self.steps.is_empty() || self.steps.iter().any(Vec::is_empty) {
            return Some("steps needs a command, as a list of a program and its arguments".into());
        }
        None
    }

    /// Whether nothing in files and folders of this name is a source.
    pub fn ignores(&self, name: &OsStr) -> bool {
        let first = self.artifact.components().find(|part| matches!(part, Component::Normal(_)));
        self.ignore.iter().any(|ignored| name == OsStr::new(ignored))
            || first.is_some_and(|part| part.as_os_str() == name)
    }

    /// Run the steps. What the tools print goes to stderr as it comes. Dropping the future ends them.
    ///
    /// # Errors
    ///
    /// Fails if a tool is missing or fails, or if no component comes of it.
    pub async fn build(&self, folder: &Path) -> Result<PathBuf, RecipeError> {
        let artifact = folder.join(&self.artifact);
        // What an earlier build left behind is not taken for this one's.
        let _ = std::fs::remove_file(&artifact);
        let unreadable = |cause| RecipeError::Unreadable { path: artifact.clone(), cause };
        std::fs::create_dir_all(artifact.parent().unwrap_or(folder)).map_err(unreadable)?;
        let path = self.search_path(folder).map_err(unreadable)?;
        for step in &self.steps {
            self.run(folder, step, &path).await?;
        }
        if artifact.is_file() {
            return Ok(artifact);
        }
        Err(RecipeError::NoComponent { path: folder.join(FILE), artifact: self.artifact.clone() })
    }

    async fn run(&self, folder: &Path, step: &[String], path: &OsStr) -> Result<(), RecipeError> {
        let (program, install) = (step[0].clone(), self.install.clone());
        let folder = folder.to_owned();
        let mut command = Command::new(&program);
        command.args(&step[1..]).current_dir(&folder).env("PATH", path).envs(&self.env).stdin(Stdio::null());
        // Our stdout is for what the command prints itself.
        if let Ok(stderr) = io::stderr().as_fd().try_clone_to_owned() {
            command.stdout(Stdio::from(stderr));
        }
        let status = match Group::spawn(&mut command) {
            Ok(mut tool) => tool.wait().await,
            Err(error) => Err(error),
        };
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(RecipeError::Failed { program, status, install, folder }),
            Err(cause) => Err(RecipeError::NoTool { program, cause, install, folder }),
        }
    }

    fn search_path(&self, folder: &Path) -> io::Result<OsString> {
        let folder = folder.canonicalize()?;
        let own = self.path.iter().map(|entry| folder.join(entry));
        let inherited = env::var_os("PATH").unwrap_or_default();
        env::join_paths(own.chain(env::split_paths(&inherited))).map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Recipe, String> {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join(FILE), text).expect("written");
        Recipe::read(folder.path()).map(|recipe| recipe.expect("a recipe")).map_err(|error| error.to_string())
    }

    #[test]
    fn a_recipe_that_makes_no_sense_says_why() {
        let good = "artifact = \"build/a.wasm\"\ninstall = \"x\"\nsteps = [[\"true\"]]\nignore = [\"node_modules\"]\n";
        let recipe = read(good).expect("a recipe");
        for name in ["build", "node_modules"] {
            assert!(recipe.ignores(OsStr::new(name)), "{name}");
        }
        assert!(!recipe.ignores(OsStr::new("src")));
        for (text, word) in [
            (good.replace("build/a.wasm", "../a.wasm"), "../a.wasm"),
            (good.replace("build/a.wasm", "/tmp/a.wasm"), "/tmp/a.wasm"),
            (good.replace("build/a.wasm", "a.txt"), "a.txt"),
            (good.replace("[[\"true\"]]", "[]"), "steps"),
            (good.replace("[[\"true\"]]", "[[]]"), "steps"),
            (good.replace("ignore", "ignroe"), "ignroe"),
            (good.replace("install", "#"), "install"),
        ] {
            let error = read(&text).expect_err(&text);
            assert!(error.contains(word) && error.contains(FILE), "{text}: {error}");
        }
    }
}
