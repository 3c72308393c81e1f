//! `pgq:plugin/registry`: collects and checks what a plugin declares.

use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::bindings::pgq::plugin::registry::{self, Host, HostEntrypoint, HostRegistrar, OnFailure as GuestOnFailure};
use super::needs::Kind;
use super::origin::Origin;
use super::resources::{EntrypointHandle, Registrar};
use crate::printable::cut;
use pgq_cron::Schedule;
use pgq_job::{Backoff, EntrypointOptions, OnFailure};

const MAX_ENTRYPOINTS: usize = 1_000;
const MAX_SCHEDULES: usize = 100;
const MAX_EXPRESSION_BYTES: usize = 1_000;
/// Each job of a batch needs a handle, and a claim rarely brings more jobs than this.
const MAX_BATCH: u32 = 1_000;
const MAX_NAME_BYTES: usize = 255;
const MAX_PLUGIN_NAME_BYTES: usize = 64;
/// A plugin with less memory could not even start.
const MIN_MEMORY: usize = 1 << 20;
/// A run's deadline exists only in memory. A week is far beyond anything that should be one job.
const MAX_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The parts of a store that the interface uses.
pub(super) struct RegistryView<'a> {
    pub(super) table: &'a mut ResourceTable,
}

struct HasRegistry;

impl HasData for HasRegistry {
    type Data<'a> = RegistryView<'a>;
}

pub(super) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    view: fn(&mut T) -> RegistryView<'_>,
) -> wasmtime::Result<()> {
    registry::add_to_linker::<T, HasRegistry>(linker, view)
}

impl Host for RegistryView<'_> {}

impl HostRegistrar for RegistryView<'_> {
    fn plugin(&mut self, this: Resource<Registrar>, name: String, version: String) -> wasmtime::Result<()> {
        let mut declaration = self.table.get(&this)?.lock();
        let first_ok = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let rest_ok = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-');
        if !first_ok || !rest_ok || name.len() > MAX_PLUGIN_NAME_BYTES {
            declaration
                .mistake(format!("the plugin's name {name:?} is not made of a-z, 0-9, `-` and `_` (64 at most)"));
        }
        if version.is_empty() || version.len() > MAX_PLUGIN_NAME_BYTES || version.contains(char::is_control) {
            declaration.mistake(format!("the plugin's version {version:?} does not have 1 to 64 bytes"));
        }
        let kept = |text: String| Some(cut(&text, MAX_PLUGIN_NAME_BYTES).to_owned());
        (declaration.name, declaration.version) = (kept(name), kept(version));
        Ok(())
    }

    fn entrypoint(&mut self, this: Resource<Registrar>, name: String) -> wasmtime::Result<Resource<EntrypointHandle>> {
        let registrar = self.table.get(&this)?.clone();
        {
            let mut declaration = registrar.lock();
            if name.is_empty() || name.len() > MAX_NAME_BYTES || name.contains('\0') {
                declaration.mistake(format!("the entrypoint {name:?} does not have 1 to {MAX_NAME_BYTES} bytes"));
            } else if declaration.entrypoints.len() == MAX_ENTRYPOINTS {
                declaration.mistake(format!("more than {MAX_ENTRYPOINTS} entrypoints"));
            } else if declaration.has_room(name.len())
                && declaration.entrypoints.insert(name.clone(), EntrypointOptions::default()).is_some()
            {
                declaration.mistake(format!("entrypoint {name:?} is declared twice"));
            }
        }
        // A name that is too long matches no entrypoint, however much of it is kept.
        let name = cut(&name, MAX_NAME_BYTES + 1).to_owned();
        Ok(self.table.push(EntrypointHandle { registrar, name })?)
    }

    fn needs_http(&mut self, this: Resource<Registrar>, origin: String) -> wasmtime::Result<()> {
        let mut declaration = self.table.get(&this)?.lock();
        match origin.parse::<Origin>() {
            Ok(origin) => declaration.need(Kind::Http, origin.to_string()),
            Err(mistake) => declaration.mistake(format!("needs-http: {mistake}")),
        }
        Ok(())
    }

    fn needs_config(&mut self, this: Resource<Registrar>, key: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.lock().need(Kind::Config, key);
        Ok(())
    }

    fn needs_secret(&mut self, this: Resource<Registrar>, name: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.lock().need(Kind::Secret, name);
        Ok(())
    }

    fn needs_env(&mut self, this: Resource<Registrar>, name: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.lock().need(Kind::Env, name);
        Ok(())
    }

    fn needs_directory(&mut self, this: Resource<Registrar>, path: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.lock().need(Kind::Directory, path);
        Ok(())
    }

    fn needs_enqueue(&mut self, this: Resource<Registrar>, entrypoint: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.lock().need(Kind::Enqueue, entrypoint);
        Ok(())
    }

    fn needs_sql(&mut self, this: Resource<Registrar>, purpose: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.lock().need(Kind::Sql, purpose);
        Ok(())
    }

    fn drop(&mut self, this: Resource<Registrar>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostEntrypoint for RegistryView<'_> {
    fn max_attempts(&mut self, this: Resource<EntrypointHandle>, attempts: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            options.max_attempts = at_least_one(attempts, "max-attempts")?;
            Ok(())
        });
        Ok(())
    }

    fn backoff(
        &mut self,
        this: Resource<EntrypointHandle>,
        initial_ms: u64,
        multiplier: f64,
        max_ms: u64,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            if !(1.0..=1000.0).contains(&multiplier) {
                return Err(format!("a back-off multiplier of {multiplier} is not between 1 and 1000"));
            }
            if initial_ms > max_ms {
                return Err(format!("a back-off that starts at {initial_ms} ms cannot end at {max_ms} ms"));
            }
            let max = Duration::from_millis(max_ms);
            if max > Duration::from_secs(365 * 24 * 3600) {
                return Err(format!("a back-off of up to {max_ms} ms is longer than a year"));
            }
            options.backoff = Backoff { initial: Duration::from_millis(initial_ms), multiplier, max };
            Ok(())
        });
        Ok(())
    }

    fn timeout(&mut self, this: Resource<EntrypointHandle>, ms: u64) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            let timeout = Duration::from_millis(ms);
            if timeout.is_zero() || timeout > MAX_TIMEOUT {
                return Err(format!("a timeout of {ms} ms is not between 1 ms and a week"));
            }
            options.timeout = timeout;
            Ok(())
        });
        Ok(())
    }

    fn memory(&mut self, this: Resource<EntrypointHandle>, bytes: u64) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            options.memory = usize::try_from(bytes)
                .ok()
                .filter(|bytes| (MIN_MEMORY..=4 << 30).contains(bytes))
                .ok_or_else(|| format!("a memory of {bytes} bytes is not between 1 MiB and 4 GiB"))?;
            Ok(())
        });
        Ok(())
    }

    fn concurrency(&mut self, this: Resource<EntrypointHandle>, limit: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            options.concurrency = Some(at_least_one(limit, "concurrency")?);
            Ok(())
        });
        Ok(())
    }

    fn reuse(&mut self, this: Resource<EntrypointHandle>, max_jobs: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            options.reuse = at_least_one(max_jobs, "reuse")?;
            Ok(())
        });
        Ok(())
    }

    fn batch(&mut self, this: Resource<EntrypointHandle>, max_jobs: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            let jobs = at_least_one(max_jobs, "batch")?;
            if jobs > MAX_BATCH {
                return Err(format!("a batch of {jobs} jobs is larger than {MAX_BATCH}"));
            }
            options.batch = Some(jobs);
            Ok(())
        });
        Ok(())
    }

    fn on_failure(&mut self, this: Resource<EntrypointHandle>, action: GuestOnFailure) -> wasmtime::Result<()> {
        self.table.get(&this)?.set(|options| {
            options.on_failure = match action {
                GuestOnFailure::Hold => OnFailure::Hold,
                GuestOnFailure::Delete => OnFailure::Delete,
            };
            Ok(())
        });
        Ok(())
    }

    fn schedule(&mut self, this: Resource<EntrypointHandle>, expression: String) -> wasmtime::Result<()> {
        schedule(self.table.get(&this)?, &expression, "UTC");
        Ok(())
    }

    fn schedule_in(
        &mut self,
        this: Resource<EntrypointHandle>,
        expression: String,
        time_zone: String,
    ) -> wasmtime::Result<()> {
        schedule(self.table.get(&this)?, &expression, &time_zone);
        Ok(())
    }

    fn drop(&mut self, this: Resource<EntrypointHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

fn schedule(entrypoint: &EntrypointHandle, expression: &str, time_zone: &str) {
    if entrypoint.registrar.lock().has_room(expression.len() + time_zone.len()) {
        entrypoint.set(|options| add_schedule(options, expression, time_zone));
    }
}

fn add_schedule(options: &mut EntrypointOptions, expression: &str, time_zone: &str) -> Result<(), String> {
    if expression.len() > MAX_EXPRESSION_BYTES || time_zone.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("a schedule is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let key = Schedule::new(expression, time_zone).map_err(|error| error.to_string())?.key();
    if options.schedules.contains(&key) {
        return Err(format!("the schedule {key:?} is declared twice"));
    }
    if options.schedules.len() == MAX_SCHEDULES {
        return Err(format!("more than {MAX_SCHEDULES} schedules"));
    }
    options.schedules.push(key);
    Ok(())
}

fn at_least_one(value: u32, what: &str) -> Result<u32, String> {
    if value == 0 {
        Err(format!("{what} of 0 means that nothing would ever run; leave it out for the default"))
    } else {
        Ok(value)
    }
}
