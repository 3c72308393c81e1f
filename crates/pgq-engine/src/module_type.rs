//! The type of a core module, as a component declares those that it imports.

use wasm_encoder::reencode::{Reencode as _, RoundtripReencoder};
use wasm_encoder::{EntityType, ModuleType};
use wasmtime_environ::wasmparser::{
    ExternalKind, FuncType, GlobalType, MemoryType, Parser, Payload, RefType, TableType, TypeRef, ValType,
};

/// What a module has of each kind that instances share.
#[derive(Debug, Default)]
pub(super) struct ModuleFacts {
    pub(super) memories: u32,
    pub(super) tables: u32,
    pub(super) imports_memory: bool,
    pub(super) has_data: bool,
    pub(super) code_bytes: usize,
    /// What is imported, functions and globals: each has a place in an instance.
    pub(super) places: u64,
}

impl ModuleFacts {
    /// `None` if it cannot be read.
    pub(super) fn of(module: &[u8]) -> Option<ModuleFacts> {
        let mut facts = ModuleFacts::default();
        for payload in Parser::new(0).parse_all(module) {
            match payload.ok()? {
                Payload::ImportSection(section) => {
                    for import in section.into_imports() {
                        facts.places += 1;
                        facts.imports_memory |= matches!(import.ok()?.ty, TypeRef::Memory(_));
                    }
                }
                Payload::FunctionSection(section) => facts.places += u64::from(section.count()),
                Payload::GlobalSection(section) => facts.places += u64::from(section.count()),
                Payload::MemorySection(section) => facts.memories += section.count(),
                Payload::TableSection(section) => facts.tables += section.count(),
                Payload::DataSection(section) => facts.has_data |= section.count() > 0,
                Payload::CodeSectionStart { range, .. } => facts.code_bytes = range.len(),
                _ => {}
            }
        }
        Some(facts)
    }
}

/// The module's type. `None` if it has something in it that run-times' libraries do not have: a type
/// that names another by its number, which would be another one here.
pub(super) fn module_type(module: &[u8]) -> Option<ModuleType> {
    let mut found = Declared::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.ok()? {
            Payload::TypeSection(section) => {
                for ty in section.into_iter_err_on_gc_types() {
                    found.types.push(ty.ok()?);
                }
            }
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    let import = import.ok()?;
                    let item = found.imported(import.ty)?;
                    found.declared.import(import.module, import.name, item);
                }
            }
            Payload::FunctionSection(section) => {
                for ty in section {
                    found.functions.push(ty.ok()?);
                }
            }
            Payload::TableSection(section) => {
                for table in section {
                    found.tables.push(table.ok()?.ty);
                }
            }
            Payload::MemorySection(section) => {
                for memory in section {
                    found.memories.push(memory.ok()?);
                }
            }
            Payload::GlobalSection(section) => {
                for global in section {
                    found.globals.push(global.ok()?.ty);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    let export = export.ok()?;
                    let item = found.item(export.kind, export.index as usize)?;
                    found.declared.export(export.name, item);
                }
            }
            Payload::TagSection(_) => return None,
            _ => {}
        }
    }
    Some(found.declared)
}

/// The index spaces of a module, and what of it was declared.
#[derive(Default)]
struct Declared {
    types: Vec<FuncType>,
    /// The number of each in the module's type, once it is there.
    numbers: Vec<Option<u32>>,
    functions: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    declared: ModuleType,
}

impl Declared {
    fn imported(&mut self, ty: TypeRef) -> Option<EntityType> {
        let (kind, index) = match ty {
            TypeRef::Func(ty) => (ExternalKind::Func, add(&mut self.functions, ty)),
            TypeRef::Table(ty) => (ExternalKind::Table, add(&mut self.tables, ty)),
            TypeRef::Memory(ty) => (ExternalKind::Memory, add(&mut self.memories, ty)),
            TypeRef::Global(ty) => (ExternalKind::Global, add(&mut self.globals, ty)),
            TypeRef::Tag(_) | TypeRef::FuncExact(_) => return None,
        };
        self.item(kind, index)
    }

    fn item(&mut self, kind: ExternalKind, index: usize) -> Option<EntityType> {
        let mut same = RoundtripReencoder;
        Some(match kind {
            ExternalKind::Func => {
                let ty = *self.functions.get(index)? as usize;
                EntityType::Function(self.function_type(ty)?)
            }
            ExternalKind::Table => {
                let ty = self.tables.get(index).filter(|ty| is_plain(ValType::Ref(ty.element_type)))?;
                EntityType::Table(same.table_type(*ty).ok()?)
            }
            ExternalKind::Memory => EntityType::Memory(same.memory_type(*self.memories.get(index)?).ok()?),
            ExternalKind::Global => {
                let ty = self.globals.get(index).filter(|ty| is_plain(ty.content_type))?;
                EntityType::Global(same.global_type(*ty).ok()?)
            }
            ExternalKind::Tag | ExternalKind::FuncExact => return None,
        })
    }

    /// The number of this type in the module's type, where it is declared before it is used.
    fn function_type(&mut self, ty: usize) -> Option<u32> {
        self.numbers.resize(self.types.len(), None);
        if let Some(number) = *self.numbers.get(ty)? {
            return Some(number);
        }
        let function = &self.types[ty];
        if !function.params().iter().chain(function.results()).all(|value| is_plain(*value)) {
            return None;
        }
        self.declared.ty().func_type(&RoundtripReencoder.func_type(function.clone()).ok()?);
        self.numbers[ty] = self.declared.type_count().checked_sub(1);
        self.numbers[ty]
    }
}

/// Returns its index.
fn add<T>(all: &mut Vec<T>, one: T) -> usize {
    all.push(one);
    all.len() - 1
}

/// Whether it names no other type.
fn is_plain(ty: ValType) -> bool {
    match ty {
        ValType::Ref(ty) => ty == RefType::FUNCREF || ty == RefType::EXTERNREF,
        _ => true,
    }
}
