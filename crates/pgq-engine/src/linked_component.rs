//! A compiled and linked component, from which instances are created.

use std::fmt::Write as _;
use std::sync::Arc;

use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, InstancePre};

use super::bindings::PluginPre;
use super::bindings::batch::exports::pgq::plugin::batch_handler;
use super::bindings::exports::pgq::plugin::handler;
use super::library::{CompiledComponent, Library};
use super::library_name::library_name;
use super::linker::linker;
use super::load_error::{LoadError, one_line, unknown_import};
use super::state::State;

pub(super) struct LinkedComponent {
    plugin: PluginPre<State>,
    /// Held, so that other components find them.
    _libraries: Vec<Arc<Library>>,
    pub(super) handler: handler::GuestIndices,
    pub(super) batch: Option<batch_handler::GuestIndices>,
}

impl LinkedComponent {
    pub(super) fn new(compiled: CompiledComponent) -> Result<LinkedComponent, LoadError> {
        let CompiledComponent { component, libraries, .. } = compiled;
        let component = &component;
        let mismatch = |error| LoadError::Mismatch(one_line(&error));
        let invalid = |error| LoadError::Invalid(one_line(&error));
        let mut linker = linker(component.engine()).map_err(invalid)?;
        for (number, library) in libraries.iter().enumerate() {
            linker.root().module(&library_name(number), &library.module).map_err(invalid)?;
        }
        let pre = linker.instantiate_pre(component).map_err(|error| {
            let error = one_line(&error);
            unknown(component, &error).unwrap_or(LoadError::Mismatch(error))
        })?;
        let plugin = PluginPre::new(pre).map_err(mismatch)?;
        let handler = handler::GuestIndices::new(plugin.instance_pre()).map_err(mismatch)?;
        let batch = batch_handler::GuestIndices::new(plugin.instance_pre()).ok();
        Ok(LinkedComponent { plugin, _libraries: libraries, handler, batch })
    }

    pub(super) fn pre(&self) -> &InstancePre<State> {
        self.plugin.instance_pre()
    }

    pub(super) fn component(&self) -> &Component {
        self.pre().component()
    }
}

/// The import that the error is about, with the functions the component expects of it, if the
/// linker has nothing of that name.
fn unknown(component: &Component, error: &str) -> Option<LoadError> {
    // wasmtime has no typed error for this. The test `loading::an_unknown_import_is_named` fails if
    // the wording changes.
    if !error.contains("not found in the linker") {
        return None;
    }
    let (ty, engine) = (component.component_type(), component.engine());
    let (name, import) = ty.imports(engine).find(|(name, _)| error.contains(&format!("`{name}`")))?;
    let mut text = format!("{name:?}");
    if let ComponentItem::ComponentInstance(instance) = &import.ty {
        let wants: Vec<&str> = instance.exports(engine).map(|(name, _)| name).take(3).collect();
        if !wants.is_empty() {
            let _ = write!(text, " (for its {})", wants.join(", "));
        }
    }
    Some(unknown_import(name, text))
}
