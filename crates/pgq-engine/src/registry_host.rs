//! `pgq:plugin/registry`: what a plugin declares, call by call or as one text.

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};

use super::bindings::pgq::plugin::registry::{self, Host, HostEntrypoint, HostRegistrar, OnFailure as GuestOnFailure};
use super::declared_entrypoint::UTC;
use super::declared_text;
use super::needs::Kind;
use super::resources::{EntrypointHandle, Registrar};
use pgq_job::OnFailure;

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

impl RegistryView<'_> {
    fn need(&self, this: &Resource<Registrar>, kind: Kind, what: String) -> wasmtime::Result<()> {
        self.table.get(this)?.need(kind, what);
        Ok(())
    }
}

impl Host for RegistryView<'_> {}

impl HostRegistrar for RegistryView<'_> {
    fn plugin(&mut self, this: Resource<Registrar>, name: String, version: String) -> wasmtime::Result<()> {
        let registrar = self.table.get(&this)?;
        registrar.name(&name);
        registrar.version(&version);
        Ok(())
    }

    fn entrypoint(&mut self, this: Resource<Registrar>, name: String) -> wasmtime::Result<Resource<EntrypointHandle>> {
        let entrypoint = self.table.get(&this)?.entrypoint(&name);
        Ok(self.table.push(entrypoint)?)
    }

    fn needs_http(&mut self, this: Resource<Registrar>, origin: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Http, origin)
    }

    fn needs_config(&mut self, this: Resource<Registrar>, key: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Config, key)
    }

    fn needs_secret(&mut self, this: Resource<Registrar>, name: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Secret, name)
    }

    fn needs_env(&mut self, this: Resource<Registrar>, name: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Env, name)
    }

    fn needs_directory(&mut self, this: Resource<Registrar>, path: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Directory, path)
    }

    fn needs_enqueue(&mut self, this: Resource<Registrar>, entrypoint: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Enqueue, entrypoint)
    }

    fn declare(&mut self, this: Resource<Registrar>, declarations: String) -> wasmtime::Result<()> {
        declared_text::declare(self.table.get(&this)?, &declarations);
        Ok(())
    }

    fn needs_sql(&mut self, this: Resource<Registrar>, purpose: String) -> wasmtime::Result<()> {
        self.need(&this, Kind::Sql, purpose)
    }

    fn drop(&mut self, this: Resource<Registrar>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}

impl HostEntrypoint for RegistryView<'_> {
    fn max_attempts(&mut self, this: Resource<EntrypointHandle>, attempts: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.max_attempts(attempts);
        Ok(())
    }

    fn backoff(
        &mut self,
        this: Resource<EntrypointHandle>,
        initial_ms: u64,
        multiplier: f64,
        max_ms: u64,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.backoff(initial_ms, multiplier, max_ms);
        Ok(())
    }

    fn timeout(&mut self, this: Resource<EntrypointHandle>, ms: u64) -> wasmtime::Result<()> {
        self.table.get(&this)?.timeout(ms);
        Ok(())
    }

    fn memory(&mut self, this: Resource<EntrypointHandle>, bytes: u64) -> wasmtime::Result<()> {
        self.table.get(&this)?.memory(bytes);
        Ok(())
    }

    fn concurrency(&mut self, this: Resource<EntrypointHandle>, limit: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.concurrency(limit);
        Ok(())
    }

    fn reuse(&mut self, this: Resource<EntrypointHandle>, max_jobs: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.reuse(max_jobs);
        Ok(())
    }

    fn batch(&mut self, this: Resource<EntrypointHandle>, max_jobs: u32) -> wasmtime::Result<()> {
        self.table.get(&this)?.batch(max_jobs);
        Ok(())
    }

    fn on_failure(&mut self, this: Resource<EntrypointHandle>, action: GuestOnFailure) -> wasmtime::Result<()> {
        self.table.get(&this)?.on_failure(match action {
            GuestOnFailure::Hold => OnFailure::Hold,
            GuestOnFailure::Delete => OnFailure::Delete,
        });
        Ok(())
    }

    fn schedule(&mut self, this: Resource<EntrypointHandle>, expression: String) -> wasmtime::Result<()> {
        self.table.get(&this)?.schedule(&expression, UTC);
        Ok(())
    }

    fn schedule_in(
        &mut self,
        this: Resource<EntrypointHandle>,
        expression: String,
        time_zone: String,
    ) -> wasmtime::Result<()> {
        self.table.get(&this)?.schedule(&expression, &time_zone);
        Ok(())
    }

    fn drop(&mut self, this: Resource<EntrypointHandle>) -> wasmtime::Result<()> {
        self.table.delete(this)?;
        Ok(())
    }
}
