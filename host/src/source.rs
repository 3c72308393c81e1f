//! A plugin's source folder, and what builds it: the steps of its `pgq-plugin.toml`, or cargo.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::cargo::{Build, BuildError};
use crate::recipe::{FILE, Recipe, RecipeError};

/// One build. Dropping its future ends the tools.
#[derive(Debug)]
pub struct Source {
    folder: PathBuf,
    recipe: Option<Recipe>,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    #[error(
        "{} has neither Cargo.toml nor {FILE}; name the folder of a plugin's source, or create one with `pgq-host plugin new NAME`",
        .0.display()
    )]
    NoSource(PathBuf),
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    #[error(transparent)]
    Cargo(#[from] BuildError),
}

impl Source {
    /// The source in this folder.
    ///
    /// # Errors
    ///
    /// Fails if there is none, or if its recipe makes no sense.
    pub fn at(folder: &Path) -> Result<Source, SourceError> {
        let recipe = Recipe::read(folder)?;
        if recipe.is_none() && !folder.join("Cargo.toml").is_file() {
            return Err(SourceError::NoSource(folder.to_owned()));
        }
        Ok(Source { folder: folder.to_owned(), recipe })
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether the first build takes much longer than those that follow.
    pub fn compiles_dependencies(&self) -> bool {
        self.recipe.is_none()
    }

    /// Whether nothing in files and folders of this name is a source.
    pub fn ignores(&self, name: &OsStr) -> bool {
        self.recipe.as_ref().is_some_and(|recipe| recipe.ignores(name))
    }

    /// Build, and return the paths of the components. What the tools print goes to stderr as it
    /// comes. `release` and `quiet` are for cargo.
    ///
    /// # Errors
    ///
    /// Fails if a tool is missing or fails, or if no component comes of it.
    pub async fn build(&self, release: bool, quiet: bool) -> Result<Vec<PathBuf>, SourceError> {
        match &self.recipe {
            Some(recipe) => Ok(vec![recipe.build(&self.folder).await?]),
            None => Ok(Build { folder: &self.folder, release, quiet }.run().await?),
        }
    }
}
