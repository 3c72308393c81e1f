//! What the host knows about a component: a name, a version, entrypoints, and what it needs.

use std::borrow::Cow;

use crate::declaration::Object;
use crate::{Entrypoint, Failure, Job, Outcome, Result};

/// The plugin's declarations and its handlers.
///
/// ```
/// # use pgq_plugin_sdk::prelude::*;
/// fn greet(_: &Job) {}
///
/// fn plugin() -> Plugin {
///     Plugin::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
///         .needs_http("https://api.example.com")
///         .entrypoint(Entrypoint::new("greet", greet))
/// }
/// ```
///
/// Nothing is checked here: the host checks everything when it loads the plugin and names every
/// mistake at once (`pgq-host plugin inspect FILE` does the same).
#[derive(Debug)]
#[must_use = "a plugin does nothing until `export!` hands it to the host"]
pub struct Plugin {
    name: Cow<'static, str>,
    version: Cow<'static, str>,
    entrypoints: Vec<Entrypoint>,
    http: Vec<Cow<'static, str>>,
    config: Vec<Cow<'static, str>>,
    secrets: Vec<Cow<'static, str>>,
    env: Vec<Cow<'static, str>>,
    directories: Vec<Cow<'static, str>>,
    enqueue: Vec<Cow<'static, str>>,
    sql: Vec<Cow<'static, str>>,
}

impl Plugin {
    /// A plugin without entrypoints.
    ///
    /// The name is used in the operator's grants, the logs and the metrics. It matches
    /// `[a-z0-9][a-z0-9_-]*` and has up to 64 characters. `env!("CARGO_PKG_NAME")` and
    /// `env!("CARGO_PKG_VERSION")` are the usual values.
    pub fn new(name: impl Into<Cow<'static, str>>, version: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            version: version.into(),
            entrypoints: Vec::new(),
            http: Vec::new(),
            config: Vec::new(),
            secrets: Vec::new(),
            env: Vec::new(),
            directories: Vec::new(),
            enqueue: Vec::new(),
            sql: Vec::new(),
        }
    }

    /// Serve one more entrypoint.
    pub fn entrypoint(mut self, entrypoint: Entrypoint) -> Self {
        self.entrypoints.push(entrypoint);
        self
    }

    /// Declare that the plugin sends HTTP requests to `scheme://host[:port]`.
    ///
    /// Only the operator can grant that (`http = [..]` under `[plugins.NAME]` in `pgq-host.toml`).
    /// The declaration makes the host warn if the grant is missing.
    pub fn needs_http(mut self, origin: impl Into<Cow<'static, str>>) -> Self {
        self.http.push(origin.into());
        self
    }

    /// Declare that the plugin reads this key of `wasi:config/store`.
    pub fn needs_config(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.config.push(key.into());
        self
    }

    /// Declare that the plugin writes `{{secret:NAME}}` into a header of its requests.
    ///
    /// The host inserts the secret just before it sends the request. The plugin never sees it.
    pub fn needs_secret(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.secrets.push(name.into());
        self
    }

    /// Declare that the plugin reads this environment variable.
    pub fn needs_env(mut self, name: impl Into<Cow<'static, str>>) -> Self {
        self.env.push(name.into());
        self
    }

    /// Declare that the plugin reads files below this folder, by the path that it sees.
    pub fn needs_directory(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.directories.push(path.into());
        self
    }

    /// Declare that the plugin's handlers enqueue jobs of this entrypoint.
    pub fn needs_enqueue(mut self, entrypoint: impl Into<Cow<'static, str>>) -> Self {
        self.enqueue.push(entrypoint.into());
        self
    }

    /// Declare that the plugin's handlers use the database, and what for: the operator grants a role
    /// that can do it (`sql` under `[plugins.NAME]`).
    pub fn needs_sql(mut self, purpose: impl Into<Cow<'static, str>>) -> Self {
        self.sql.push(purpose.into());
        self
    }

    /// The texts that declare it: one for itself and one for each entrypoint, because a text has a
    /// largest size.
    pub(crate) fn declarations(&self) -> impl Iterator<Item = String> + '_ {
        let needs = Object::new()
            .texts("http", &self.http)
            .texts("config", &self.config)
            .texts("secret", &self.secrets)
            .texts("env", &self.env)
            .texts("directory", &self.directories)
            .texts("enqueue", &self.enqueue)
            .texts("sql", &self.sql);
        let plugin = Object::new().text("name", &self.name).text("version", &self.version).object("needs", needs);
        let entrypoint =
            |entrypoint: &Entrypoint| Object::new().objects("entrypoints", std::iter::once(entrypoint.declaration()));
        std::iter::once(plugin).chain(self.entrypoints.iter().map(entrypoint)).map(Object::finish)
    }

    pub(crate) fn run(&self, job: &Job) -> Result<Outcome> {
        let name = job.entrypoint_name();
        match self.find(name) {
            Some(entrypoint) => entrypoint.run(job),
            // The host only passes jobs of declared entrypoints. If it did not, retrying would not
            // help: this component would not serve the job the next time either.
            None => Err(Failure::reject(format!(
                "plugin {} {} does not serve the entrypoint `{name}`",
                self.name, self.version
            ))),
        }
    }

    /// Run jobs of one entrypoint.
    pub(crate) fn run_batch(&self, jobs: &[Job]) -> Vec<Result<Outcome>> {
        match jobs.first().and_then(|job| self.find(job.entrypoint_name())) {
            Some(entrypoint) => entrypoint.run_batch(jobs),
            None => jobs.iter().map(|job| self.run(job)).collect(),
        }
    }

    pub(crate) fn find(&self, name: &str) -> Option<&Entrypoint> {
        self.entrypoints.iter().find(|known| known.name() == name)
    }
}
