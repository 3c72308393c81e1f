//! Takes a component apart into what is its own and the libraries of its language's run-time, which
//! are compiled once for all components that have them.
//!
//! componentize-py links a handler with libpython, libc and others as a loader of dynamic libraries
//! would: each is a core module without a memory, a table or data of its own, and the same in every
//! component of that version. They are all but a hundredth of the code. Here the component is written
//! anew: where it had such a module, it imports one. Everything else stays as it is, byte for byte. Each library
//! is known by all of its bytes, so what is shared is what the component brought along.

use std::borrow::Cow;

use wasm_encoder::{ComponentImportSection, ComponentSection as _, ComponentTypeRef, CoreTypeSection, ModuleType};

use super::library_name::library_name;
use super::module_type::{ModuleFacts, module_type};
use super::outline::Outline;
use super::shares::Slots;

/// Smaller modules are not worth a file in the cache.
const LEAST_CODE_BYTES: usize = 64 << 10;
/// A run-time has a few.
const MOST_LIBRARIES: usize = 8;
/// Of all libraries together. wasmtime limits the size of an instance, but does not count what has
/// imports; libpython has 12,000.
const MOST_PLACES: u64 = 60_000;

/// A component as it is compiled.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    /// All of it, or what is left without the libraries.
    pub(super) component: Cow<'a, [u8]>,
    /// In the order of their names.
    pub(super) libraries: Vec<&'a [u8]>,
    /// What an instance takes of the allocator's pool. wasmtime does not count what has imports.
    pub(super) slots: Option<Slots>,
}

impl<'a> Parts<'a> {
    /// All of the component as one.
    pub(super) fn whole(wasm: &'a [u8]) -> Parts<'a> {
        Parts { component: Cow::Borrowed(wasm), libraries: Vec::new(), slots: None }
    }

    /// Take it apart, if it has libraries and nothing in it that this does not know.
    pub(super) fn of(wasm: &'a [u8]) -> Parts<'a> {
        match Outline::of(wasm) {
            Ok(Some(outline)) => apart(&outline, wasm).unwrap_or_else(|| Parts::whole(wasm)),
            Ok(None) | Err(_) => Parts::whole(wasm),
        }
    }

    pub(super) fn is_whole(&self) -> bool {
        self.libraries.is_empty()
    }
}

/// Without its libraries, if there are some.
fn apart<'a>(outline: &Outline, wasm: &'a [u8]) -> Option<Parts<'a>> {
    let mut component = Vec::new();
    let mut libraries = Vec::new();
    let mut facts = Vec::new();
    let mut copied = 0;
    for module in &outline.modules {
        let bytes = wasm.get(module.content.clone())?;
        let found = ModuleFacts::of(bytes)?;
        if is_a_library(&found)
            && libraries.len() < MOST_LIBRARIES
            && let Some(ty) = module_type(bytes)
        {
            component.extend_from_slice(&wasm[copied..module.section.start]);
            import(&mut component, u32::try_from(libraries.len()).ok()?, &ty);
            copied = module.section.end;
            libraries.push(bytes);
        }
        facts.push(found);
    }
    if libraries.is_empty() {
        return None;
    }
    component.extend_from_slice(wasm.get(copied..)?);
    let mut slots = Slots::default();
    let mut places = 0;
    for (nth, number) in outline.instances.iter().enumerate() {
        let module = facts.get(*number)?;
        if is_a_library(module) {
            let again = outline.instances[..nth].contains(number);
            places += module.places;
            if again || places > MOST_PLACES {
                return None;
            }
        }
        slots.memories = slots.memories.checked_add(module.memories)?;
        slots.tables = slots.tables.checked_add(module.tables)?;
    }
    Some(Parts { component: component.into(), libraries, slots: Some(slots) })
}

/// A module with a memory, a table or data has the memory of one component in it. Without any of those, an
/// instance takes nothing of the allocator's pool either.
fn is_a_library(module: &ModuleFacts) -> bool {
    let owns_nothing = module.memories == 0 && module.tables == 0 && !module.has_data;
    owns_nothing && module.imports_memory && module.code_bytes >= LEAST_CODE_BYTES
}

/// Two sections in place of one: the module's type, and its import.
fn import(component: &mut Vec<u8>, library: u32, ty: &ModuleType) {
    let (mut types, mut imports) = (CoreTypeSection::new(), ComponentImportSection::new());
    types.ty().module(ty);
    types.append_to_component(component);
    // There are no other core types.
    imports.import(library_name(library as usize), ComponentTypeRef::Module(library));
    imports.append_to_component(component);
}

#[cfg(test)]
mod tests {
    use wasmtime::component::Linker;
    use wasmtime::{Engine, Module, Store};

    use super::*;

    /// A library: with the memory and a function of whoever links it, and as much code as it takes.
    fn library(result: u32) -> String {
        format!(
            r#"(core module $library
                (import "env" "memory" (memory 1))
                (import "env" "table" (table 2 funcref))
                (import "env" "base" (global $base i32))
                (import "env" "twice" (func $twice (param i32) (result i32)))
                (global $own (mut i64) (i64.const 7))
                (func (export "answer") (result i32) (call $twice (i32.const {result})))
                (func (export "twice") (param i32) (result i32) (call $twice (call $twice (local.get 0))))
                (func (export "mixed") (param f32 f64 funcref v128) (result i64 i32) {} (i64.const 1) (i32.const 2))
                (export "own" (global $own)) (export "memory" (memory 0)) (export "table" (table 0)))"#,
            "(drop (i32.const 305419896)) ".repeat(LEAST_CODE_BYTES / 7 + 1)
        )
    }

    fn component(library: &str, links: &str) -> Vec<u8> {
        let text = format!(
            r#"(component
                (core module $env
                    (memory (export "memory") 1 4) (table (export "table") 3 funcref) (global (export "base") i32 (i32.const 9))
                    (func (export "twice") (param i32) (result i32) (i32.add (local.get 0) (local.get 0))))
                (core instance $env (instantiate $env))
                {library}
                {links}
                (core module $last (import "l" "answer" (func (result i32))) (export "answer" (func 0)))
                (core instance $last (instantiate $last (with "l" (instance $linked))))
                (func (export "answer") (result u32) (canon lift (core func $last "answer"))))"#
        );
        wat::parse_str(text).expect("a component")
    }

    const ONCE: &str = r#"(core instance $linked (instantiate $library (with "env" (instance $env))))"#;

    fn answer(engine: &Engine, parts: &Parts<'_>) -> u32 {
        let component = wasmtime::component::Component::new(engine, &parts.component).expect("valid");
        let mut linker = Linker::new(engine);
        for (number, library) in parts.libraries.iter().enumerate() {
            let module = Module::new(engine, library).expect("valid");
            linker.root().module(&library_name(number), &module).expect("a new name");
        }
        let mut store = Store::new(engine, ());
        let instance = linker.instantiate(&mut store, &component).expect("linked");
        instance
            .get_typed_func::<(), (u32,)>(&mut store, "answer")
            .expect("there")
            .call(&mut store, ())
            .expect("returned")
            .0
    }

    #[test]
    fn a_component_does_the_same_without_its_libraries_as_with_them() {
        let engine = Engine::default();
        let [one, other] = [21, 22].map(|result| component(&library(result), ONCE));
        let (one, other) = (Parts::of(&one), Parts::of(&other));
        for (parts, result) in [(&one, 42), (&other, 44)] {
            assert!(parts.libraries.len() == 1 && parts.component.len() < 2000);
            assert_eq!(parts.slots, Some(Slots { memories: 1, tables: 1 }));
            assert_eq!(answer(&engine, parts), result);
        }
        assert_eq!(one.component, other.component, "they differ in nothing but their libraries");
        assert_ne!(one.libraries, other.libraries);
    }

    #[test]
    fn what_is_not_known_stays_whole() {
        let library = library(21);
        let whole = |wasm: &[u8]| {
            let parts = Parts::of(wasm);
            parts.is_whole() && parts.component == wasm && parts.slots.is_none()
        };
        assert!(!whole(&component(&library, ONCE)));
        // As tool chains write them.
        let shim = r#"(component (import "f" (func $f)) (component) (export "g" (func $f)))"#;
        assert!(!whole(&component(&library, &format!("{shim} {ONCE}"))));
        // Its own memory, table or data; too little code.
        for own in ["(memory 1)", "(table 1 funcref)", r#"(data "x")"#] {
            let with = format!("{} {own})", library.strip_suffix(')').expect("its end"));
            assert!(whole(&component(&with, ONCE)), "{own}");
        }
        let small = library.replace("(drop (i32.const 305419896)) ", "");
        assert!(whole(&component(&small, ONCE)));
        // Linked twice, so that nobody counts its instances.
        let twice = format!("(core instance (instantiate $library (with \"env\" (instance $env)))) {ONCE}");
        assert!(whole(&component(&library, &twice)));
        // Other types, components or names.
        for more in [
            "(core type (func))",
            "(component (core module))",
            "(component (core type (func)))",
            "(component $c (alias outer 1 $library (core module)))",
            r#"(import "pgq-library-0" (func))"#,
            r#"(import "m" (core module))"#,
            r#"(export "m" (core module $library))"#,
        ] {
            assert!(whole(&component(&library, &format!("{more} {ONCE}"))), "{more}");
        }
        for broken in [&b"\0asm\x0d\0\x01\0\x01\xff"[..], b"", b"\0asm\x01\0\0\0"] {
            assert!(whole(broken));
        }
    }
}
