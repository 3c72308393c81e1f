//! All facts about one component, for people and for programs.

use std::fmt;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::options::{self, Options};
use crate::cli::workbench::{self, Workbench};
use crate::config::Config;
use crate::plugins::{RefusedCause, claim_label};
use pgq_engine::digest::sha256;
use pgq_engine::printable::printable;
use pgq_engine::{Grants, Loaded, Need, Needs};
use pgq_job::EntrypointOptions;

/// One file, whether or not it is a plugin.
pub(super) struct Report {
    file: PathBuf,
    size: usize,
    sha256: String,
    loaded: Result<Plugin, RefusedCause>,
    /// The file with its compiled code, if it was asked for.
    compiled: Option<PathBuf>,
}

struct Plugin {
    name: String,
    version: String,
    signed_by: Vec<String>,
    entrypoints: Vec<Options>,
    needs: Needs,
    grants: Grants,
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Report {
    /// Load the file as a host would. With `compile`, store the compiled code or fail.
    pub(super) async fn of(workbench: &Workbench, file: &Path, compile: bool) -> anyhow::Result<Report> {
        let bytes = workbench::read(file)?;
        let (size, sha256) = (bytes.len(), sha256(&bytes));
        let compiled = compile.then(|| workbench.cache.path(&workbench.engine, &bytes)).flatten();
        let loaded = workbench.load(file, bytes).await?.map(|plugin| Plugin::of(&plugin, &workbench.config));
        if let (Ok(_), Some(path)) = (&loaded, &compiled)
            && !path.is_file()
        {
            anyhow::bail!(
                "the compiled code of {} is not in {}; the warning above says why",
                file.display(),
                path.display()
            );
        }
        Ok(Report { file: file.to_owned(), size, sha256, compiled: compiled.filter(|_| loaded.is_ok()), loaded })
    }

    pub(super) fn loads(&self) -> bool {
        self.loaded.is_ok()
    }

    pub(super) fn json(&self) -> Value {
        let mut object = json!({
            "file": self.file.display().to_string(),
            "bytes": self.size,
            "sha256": self.sha256,
            "loads": self.loads(),
            "error": self.loaded.as_ref().err().map(ToString::to_string),
        });
        if let Ok(plugin) = &self.loaded {
            object["plugin"] = json!(plugin.name);
            object["version"] = json!(plugin.version);
            object["signed_by"] = json!(plugin.signed_by);
            object["entrypoints"] = plugin.entrypoints.iter().map(Options::json).collect();
            let need = |need: &Need| json!({"kind": need.kind.label(), "what": need.what, "granted": plugin.grants.meet(need)});
            object["needs"] = plugin.needs.iter().map(need).collect();
            object["grants"] =
                plugin.grants.list().into_iter().map(|(kind, what)| json!({"kind": kind, "what": what})).collect();
            object["imports"] = json!(plugin.imports);
            object["exports"] = json!(plugin.exports);
        }
        if let Some(path) = &self.compiled {
            object["compiled"] = json!(path.display().to_string());
        }
        object
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", printable(&self.file.display().to_string()))?;
        match &self.loaded {
            Ok(plugin) => writeln!(f, "  plugin      {} {}", plugin.name, printable(&plugin.version))?,
            Err(error) => writeln!(f, "  refused     {}", printable(&error.to_string()))?,
        }
        writeln!(f, "  sha256      {}", self.sha256)?;
        for signer in self.loaded.iter().flat_map(|plugin| &plugin.signed_by) {
            writeln!(f, "  signed by   {}", printable(signer))?;
        }
        writeln!(f, "  size        {}", options::bytes(self.size))?;
        if let Some(path) = &self.compiled {
            writeln!(f, "  compiled    {}", printable(&path.display().to_string()))?;
        }
        self.loaded.as_ref().map_or(Ok(()), |plugin| plugin.fmt(f))
    }
}

impl Plugin {
    fn of(loaded: &Loaded, config: &Config) -> Plugin {
        let declaration = &loaded.declaration;
        let options = |(name, declared): (&String, &EntrypointOptions)| {
            let locks = config.claims.locks(&loaded.name, name, &loaded.grants);
            let history = config.history.of(&loaded.name, name);
            Options::of(name, declared, &config.caps, claim_label(locks, declared), history)
        };
        Plugin {
            name: loaded.name.to_string(),
            version: loaded.version.clone(),
            signed_by: loaded.signed_by.iter().map(ToString::to_string).collect(),
            entrypoints: declaration.entrypoints.iter().map(options).collect(),
            needs: declaration.needs.clone(),
            grants: Grants::clone(&loaded.grants),
            imports: loaded.imports(),
            exports: loaded.exports(),
        }
    }
}

impl fmt::Display for Plugin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for need in self.needs.iter() {
            let state = if self.grants.meet(need) {
                "granted".to_owned()
            } else {
                format!("MISSING: add `{}` to [plugins.{}] in pgq-host.toml", printable(&need.line()), self.name)
            };
            writeln!(f, "  needs       {} {}: {state}", need.kind.label(), printable(&need.what))?;
        }
        for (kind, what) in self.grants.list() {
            writeln!(f, "  granted     {kind} {}", printable(&what))?;
        }
        for entrypoint in &self.entrypoints {
            entrypoint.fmt(f)?;
        }
        writeln!(f, "  imports     {}", self.imports.join("\n              "))?;
        writeln!(f, "  exports     {}", self.exports.join("\n              "))
    }
}
