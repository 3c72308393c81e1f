//! The type of a core module, in the binary format that a component declares its imports in.

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

/// The module's type. `None` if it has something in it that run-times' libraries do not have, so that
/// this does not know its encoding.
pub(super) fn encoded(module: &[u8]) -> Option<Vec<u8>> {
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
                    found.declare(0x00, &[import.module, import.name], &item);
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
                    let item = found.exported(export.kind, export.index as usize)?;
                    found.declare(0x03, &[export.name], &item);
                }
            }
            Payload::TagSection(_) => return None,
            _ => {}
        }
    }
    let mut module_type = vec![0x50];
    number(&mut module_type, found.declarations);
    module_type.append(&mut found.text);
    Some(module_type)
}

/// The index spaces of a module, and what of it was declared.
#[derive(Default)]
struct Declared {
    types: Vec<FuncType>,
    /// The number of each in the module's type, once it is there.
    numbers: Vec<Option<u64>>,
    functions: Vec<u32>,
    tables: Vec<TableType>,
    memories: Vec<MemoryType>,
    globals: Vec<GlobalType>,
    text: Vec<u8>,
    declarations: u64,
    function_types: u64,
}

impl Declared {
    fn imported(&mut self, ty: TypeRef) -> Option<Vec<u8>> {
        match ty {
            TypeRef::Func(ty) => {
                self.functions.push(ty);
                self.exported(ExternalKind::Func, self.functions.len() - 1)
            }
            TypeRef::Table(ty) => {
                self.tables.push(ty);
                table(&ty)
            }
            TypeRef::Memory(ty) => {
                self.memories.push(ty);
                memory(&ty)
            }
            TypeRef::Global(ty) => {
                self.globals.push(ty);
                global(&ty)
            }
            TypeRef::Tag(_) | TypeRef::FuncExact(_) => None,
        }
    }

    fn exported(&mut self, kind: ExternalKind, index: usize) -> Option<Vec<u8>> {
        match kind {
            ExternalKind::Func => {
                let mut item = vec![0x00];
                let ty = *self.functions.get(index)? as usize;
                number(&mut item, self.function_type(ty)?);
                Some(item)
            }
            ExternalKind::Table => table(self.tables.get(index)?),
            ExternalKind::Memory => memory(self.memories.get(index)?),
            ExternalKind::Global => global(self.globals.get(index)?),
            ExternalKind::Tag | ExternalKind::FuncExact => None,
        }
    }

    /// The number of this type in the module's type, where it is declared before it is used.
    fn function_type(&mut self, ty: usize) -> Option<u64> {
        self.numbers.resize(self.types.len(), None);
        if let Some(number) = *self.numbers.get(ty)? {
            return Some(number);
        }
        let mut declared = vec![0x01, 0x60];
        for side in [self.types[ty].params(), self.types[ty].results()] {
            number(&mut declared, side.len() as u64);
            for value in side {
                declared.push(value_type(*value)?);
            }
        }
        self.text.append(&mut declared);
        self.declarations += 1;
        self.function_types += 1;
        self.numbers[ty] = Some(self.function_types - 1);
        self.numbers[ty]
    }

    fn declare(&mut self, kind: u8, names: &[&str], item: &[u8]) {
        self.text.push(kind);
        for name in names {
            number(&mut self.text, name.len() as u64);
            self.text.extend_from_slice(name.as_bytes());
        }
        self.text.extend_from_slice(item);
        self.declarations += 1;
    }
}

fn table(ty: &TableType) -> Option<Vec<u8>> {
    if ty.table64 || ty.shared {
        return None;
    }
    let mut item = vec![0x01, reference_type(ty.element_type)?];
    limits(&mut item, ty.initial, ty.maximum);
    Some(item)
}

fn memory(ty: &MemoryType) -> Option<Vec<u8>> {
    if ty.memory64 || ty.shared || ty.page_size_log2.is_some() {
        return None;
    }
    let mut item = vec![0x02];
    limits(&mut item, ty.initial, ty.maximum);
    Some(item)
}

fn global(ty: &GlobalType) -> Option<Vec<u8>> {
    (!ty.shared).then_some(vec![0x03, value_type(ty.content_type)?, ty.mutable.into()])
}

fn value_type(ty: ValType) -> Option<u8> {
    Some(match ty {
        ValType::I32 => 0x7f,
        ValType::I64 => 0x7e,
        ValType::F32 => 0x7d,
        ValType::F64 => 0x7c,
        ValType::V128 => 0x7b,
        ValType::Ref(ty) => return reference_type(ty),
    })
}

fn reference_type(ty: RefType) -> Option<u8> {
    match ty {
        RefType::FUNCREF => Some(0x70),
        RefType::EXTERNREF => Some(0x6f),
        _ => None,
    }
}

fn limits(item: &mut Vec<u8>, least: u64, most: Option<u64>) {
    item.push(most.is_some().into());
    number(item, least);
    if let Some(most) = most {
        number(item, most);
    }
}

/// LEB128.
pub(super) fn number(text: &mut Vec<u8>, mut value: u64) {
    loop {
        let byte = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return text.push(byte);
        }
        text.push(byte | 0x80);
    }
}
