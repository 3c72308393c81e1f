//! Where a component has its core modules.

use std::ops::Range;

use wasmtime_environ::wasmparser::{
    BinaryReaderError, ComponentAlias, ComponentExternalKind, ComponentOuterAliasKind, Encoding, Instance, Parser,
    Payload,
};

use super::library_name::is_library;

/// A core module of the component.
pub(super) struct Module {
    /// With the head of its section.
    pub(super) section: Range<usize>,
    pub(super) content: Range<usize>,
}

/// The core modules of a component, and how often each is instantiated.
pub(super) struct Outline {
    pub(super) modules: Vec<Module>,
    /// The number of the module of each.
    pub(super) instances: Vec<usize>,
}

/// What the parser is in.
enum Nested {
    Module,
    Component,
}

/// Whether it has to do with core modules or types, which have numbers.
fn has_core_parts(payload: &Payload<'_>) -> Result<bool, BinaryReaderError> {
    match payload {
        Payload::ModuleSection { .. } | Payload::CoreTypeSection(_) | Payload::InstanceSection(_) => Ok(true),
        Payload::ComponentAliasSection(aliases) => {
            for alias in aliases.clone() {
                if names_a_module(&alias?) {
                    return Ok(true);
                }
            }
            Ok(false)
        }
        _ => Ok(false),
    }
}

fn names_a_module(alias: &ComponentAlias<'_>) -> bool {
    matches!(
        alias,
        ComponentAlias::InstanceExport { kind: ComponentExternalKind::Module, .. }
            | ComponentAlias::Outer {
                kind: ComponentOuterAliasKind::CoreModule | ComponentOuterAliasKind::CoreType,
                ..
            }
    )
}

impl Outline {
    /// `None` if the numbers of modules or types could change when a module becomes an import.
    pub(super) fn of(wasm: &[u8]) -> Result<Option<Outline>, BinaryReaderError> {
        let mut outline = Outline { modules: Vec::new(), instances: Vec::new() };
        let (mut within, mut end) = (Vec::new(), 0);
        for payload in Parser::new(0).parse_all(wasm) {
            let payload = payload?;
            if let Some(nested) = within.last() {
                match (&payload, nested) {
                    (Payload::End(_), _) => {
                        within.pop();
                    }
                    (_, Nested::Module) => {}
                    (Payload::ComponentSection { .. }, _) => within.push(Nested::Component),
                    // One that only gives exports their types, as tool chains write them.
                    (payload, Nested::Component) if has_core_parts(payload)? => return Ok(None),
                    _ => {}
                }
                continue;
            }
            let section = payload.as_section().map(|(_, range)| range);
            match payload {
                Payload::Version { encoding, range, .. } => {
                    if encoding != Encoding::Component {
                        return Ok(None);
                    }
                    end = range.end;
                }
                Payload::ModuleSection { unchecked_range, .. } => {
                    within.push(Nested::Module);
                    let section = end..unchecked_range.end;
                    end = section.end;
                    outline.modules.push(Module { section, content: unchecked_range });
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    within.push(Nested::Component);
                    end = unchecked_range.end;
                }
                Payload::CoreTypeSection(_) => return Ok(None),
                Payload::InstanceSection(instances) => {
                    for instance in instances {
                        if let Instance::Instantiate { module_index, .. } = instance? {
                            outline.instances.push(module_index as usize);
                        }
                    }
                }
                Payload::ComponentImportSection(imports) => {
                    for import in imports {
                        let import = import?;
                        if import.ty.kind() == ComponentExternalKind::Module || is_library(import.name.name) {
                            return Ok(None);
                        }
                    }
                }
                Payload::ComponentAliasSection(aliases) => {
                    for alias in aliases {
                        if names_a_module(&alias?) {
                            return Ok(None);
                        }
                    }
                }
                Payload::ComponentExportSection(exports) => {
                    for export in exports {
                        if export?.kind == ComponentExternalKind::Module {
                            return Ok(None);
                        }
                    }
                }
                _ => {}
            }
            if let Some(section) = section {
                end = end.max(section.end);
            }
        }
        Ok(Some(outline))
    }
}
