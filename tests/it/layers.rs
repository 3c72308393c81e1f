//! The files of a crate form layers: a file's imports never lead back to it. So a file can be
//! understood together with those below it.
//!
//! Every path in code that leads from one file to another counts, including `use`, up to the file
//! that defines the name. A re-export only forwards, unless its file uses the name itself, so a
//! parent that merely lists its children is not part of a circle. A parent that defines what its
//! children build on is, so the definition gets its own file. Tests within a file do not count.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

use syn::visit::{self, Visit};

#[test]
fn no_file_leads_back_to_itself_by_what_it_imports() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut circles = Vec::new();
    for sources in crates(root) {
        let source = Crate::read(&sources);
        let name = |file: &Path| file.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        let imports = source.imports();
        for circle in circles_of(&imports) {
            let mut text = format!("{} files import each other in a circle:", circle.len());
            for file in &circle {
                for (other, paths) in imports[file].iter().filter(|(other, _)| circle.contains(*other)) {
                    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
                    text.push_str(&format!("\n  {} -> {}: {}", name(file), name(other), paths.join(", ")));
                }
            }
            circles.push(text);
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}

#[test]
fn a_circle_is_seen_through_re_exports_macros_and_attributes_and_a_list_of_children_is_none() {
    let crate_of = |files: &[(&str, &str)]| {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let source = Crate::read(folder.path());
        let circles = circles_of(&source.imports()).len();
        drop(folder);
        circles
    };
    let parent = ("lib.rs", "mod a;\nmod b;\npub use a::A;");
    let leaf = ("b.rs", "use crate::A;\npub const B: A = A;");
    assert_eq!(
        crate_of(&[
            parent,
            ("a.rs", "pub struct A;\n#[cfg(test)]\nmod tests { use crate::b; const B: A = b::B; }"),
            leaf
        ]),
        0
    );
    for back in [
        "use crate::b::B;",
        "fn f() { print!(\"{:?}\", crate::b::B) }",
        "#[doc(alias = crate::b::B)]\nfn f() {}",
        "use super::b as c;\nfn f() { c::B; }",
    ] {
        let file = format!("pub struct A;\n{back}");
        assert_eq!(crate_of(&[parent, ("a.rs", &file), leaf]), 1, "{back}");
    }
    let defines = ("lib.rs", "mod a;\npub struct A;\nfn f() { a::f() }");
    assert_eq!(crate_of(&[defines, ("a.rs", "pub fn f() { super::A; }")]), 1, "a parent that its child builds on");
    assert_eq!(
        crate_of(&[
            ("lib.rs", "mod a;"),
            ("a.rs", "mod x;\nmod y;\npub use x::X;"),
            ("a/x.rs", "pub struct X;"),
            ("a/y.rs", "use super::X;")
        ]),
        0
    );
}

/// The source folders of the workspace's crates.
fn crates(root: &Path) -> Vec<PathBuf> {
    let mut found = vec![root.join("host/src"), root.join("plugin-sdk/src")];
    if let Ok(folder) = fs::read_dir(root.join("crates")) {
        found.extend(folder.map(|entry| entry.unwrap().path().join("src")).filter(|sources| sources.is_dir()));
    }
    found
}

/// A path from the root of a crate, such as `queue::claim::Claimed`.
type Name = Vec<String>;

/// What a file declares.
struct Module {
    file: PathBuf,
    /// Its imports and re-exports, by their local names.
    uses: HashMap<String, Name>,
    /// Modules that it imports entirely.
    globs: Vec<Name>,
    /// What it defines.
    items: HashSet<String>,
    /// Every path that counts, as written and from the root of the crate.
    paths: Vec<(String, Name)>,
}

/// All modules of a crate, including inline ones.
struct Crate {
    modules: BTreeMap<Name, Module>,
}

impl Crate {
    fn read(sources: &Path) -> Crate {
        let mut modules = BTreeMap::new();
        read(&sources.join("lib.rs"), sources, Vec::new(), &mut modules);
        Crate { modules }
    }

    /// For each file, what it imports from which other file.
    fn imports(&self) -> BTreeMap<&Path, BTreeMap<&Path, BTreeSet<String>>> {
        let mut imports: BTreeMap<&Path, BTreeMap<&Path, BTreeSet<String>>> = BTreeMap::new();
        for module in self.modules.values() {
            let of = imports.entry(&module.file).or_default();
            for (written, path) in &module.paths {
                // Naming a module alone leads nowhere; what is named through it does.
                if let Some(found) = self.find(path, 0)
                    && found.file != module.file
                {
                    of.entry(&found.file).or_default().insert(written.clone());
                }
            }
        }
        imports
    }

    /// The module that defines what this path names. `None` if it names a module.
    fn find(&self, path: &[String], depth: usize) -> Option<&Module> {
        if depth > 16 {
            return None;
        }
        let known = (0..=path.len()).rev().find(|&length| self.modules.contains_key(&path[..length]))?;
        let module = &self.modules[&path[..known]];
        let [name, rest @ ..] = &path[known..] else { return None };
        if module.items.contains(name) {
            return Some(module);
        }
        let through = |start: &Name| [start.as_slice(), rest].concat();
        if let Some(start) = module.uses.get(name) {
            return if start[..] == path[..=known] { Some(module) } else { self.find(&through(start), depth + 1) };
        }
        let by_glob = |glob: &Name| self.find(&[glob.as_slice(), &path[known..]].concat(), depth + 1);
        module.globs.iter().find_map(by_glob).or(Some(module))
    }
}

/// Read this file, which is the module of this name, and the modules it declares, which are in
/// `folder`.
fn read(file: &Path, folder: &Path, name: Name, modules: &mut BTreeMap<Name, Module>) {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_items(&parsed.items, file, folder, name, modules);
}

fn read_items(items: &[syn::Item], file: &Path, folder: &Path, name: Name, modules: &mut BTreeMap<Name, Module>) {
    let mut reader = Reader {
        here: &name,
        children: HashSet::new(),
        uses: HashMap::new(),
        globs: Vec::new(),
        items: HashSet::new(),
        paths: Vec::new(),
    };
    for item in items {
        if let syn::Item::Mod(module) = item
            && !is_test(&module.attrs)
        {
            reader.children.insert(module.ident.to_string());
        }
    }
    // All names first, because a path may precede the `use` that defines it.
    items.iter().for_each(|item| Names(&mut reader).visit_item(item));
    items.iter().for_each(|item| reader.visit_item(item));
    let Reader { children: _, uses, globs, items: defined, paths, .. } = reader;
    modules.insert(name.clone(), Module { file: file.to_owned(), uses, globs, items: defined, paths });
    for item in items {
        let syn::Item::Mod(module) = item else { continue };
        if is_test(&module.attrs) {
            continue;
        }
        let (ident, mut child) = (module.ident.to_string(), name.clone());
        child.push(ident.clone());
        match &module.content {
            Some((_, items)) => read_items(items, file, &folder.join(&ident), child, modules),
            None => {
                let flat = folder.join(format!("{ident}.rs"));
                let file = if flat.exists() { flat } else { folder.join(&ident).join("mod.rs") };
                read(&file, &folder.join(&ident), child, modules);
            }
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|cfg| cfg == "test")
    })
}

/// Collects the contents of a module, without those of nested modules.
struct Reader<'n> {
    here: &'n Name,
    children: HashSet<String>,
    uses: HashMap<String, Name>,
    globs: Vec<Name>,
    items: HashSet<String>,
    paths: Vec<(String, Name)>,
}

impl Reader<'_> {
    /// The path from the root of the crate. `None` if it leads out of the crate, or is a local
    /// name.
    fn absolute(&self, path: &[String]) -> Option<Name> {
        let (first, rest) = path.split_first()?;
        let start = match first.as_str() {
            "crate" => Vec::new(),
            "self" => self.here.clone(),
            "super" => {
                let up = path.iter().take_while(|part| *part == "super").count();
                return Some([&self.here[..self.here.len().saturating_sub(up)], &path[up..]].concat());
            }
            name if self.children.contains(name) => [self.here.as_slice(), std::slice::from_ref(first)].concat(),
            name => self.uses.get(name)?.clone(),
        };
        Some([start.as_slice(), rest].concat())
    }

    fn path(&mut self, path: &[String]) {
        if let Some(absolute) = self.absolute(path) {
            self.paths.push((path.join("::"), absolute));
        }
    }

    /// Paths in the arguments of macros and attributes, which are only tokens.
    fn tokens(&mut self, mut at: syn::buffer::Cursor<'_>) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        while !at.eof() {
            if let Some((ident, next)) = at.ident() {
                if colons != 2 {
                    self.path(&std::mem::take(&mut path));
                }
                path.push(ident.to_string());
                (colons, at) = (0, next);
            } else if let Some((_, next)) = at.punct().filter(|(punct, _)| punct.as_char() == ':' && !path.is_empty()) {
                (colons, at) = (colons + 1, next);
            } else {
                self.path(&std::mem::take(&mut path));
                colons = 0;
                if let Some((within, _, _, next)) = at.any_group() {
                    self.tokens(within);
                    at = next;
                } else if let Some((_, next)) = at.token_tree() {
                    at = next;
                }
            }
        }
        self.path(&path);
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        match item {
            // A module of its own, or none.
            syn::Item::Mod(_) => {}
            // Its paths count where the macro is used.
            syn::Item::Macro(item) if item.ident.is_some() => {}
            item => visit::visit_item(self, item),
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if matches!(item.vis, syn::Visibility::Inherited) && !is_test(&item.attrs) {
            leaves(&item.tree, Vec::new(), &mut |path, _| self.path(&path));
        }
    }

    fn visit_visibility(&mut self, _: &'ast syn::Visibility) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.leading_colon.is_none() {
            self.path(&path.segments.iter().map(|segment| segment.ident.to_string()).collect::<Vec<_>>());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, called: &'ast syn::Macro) {
        self.visit_path(&called.path);
        self.tokens(syn::buffer::TokenBuffer::new2(called.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let syn::Meta::List(list) = &attribute.meta {
            self.tokens(syn::buffer::TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }
}

/// Collects what a module imports and defines.
struct Names<'r, 'n>(&'r mut Reader<'n>);

impl<'ast> Visit<'ast> for Names<'_, '_> {
    fn visit_item(&mut self, item: &'ast syn::Item) {
        let ident = match item {
            syn::Item::Const(item) => Some(&item.ident),
            syn::Item::Enum(item) => Some(&item.ident),
            syn::Item::Fn(item) => Some(&item.sig.ident),
            syn::Item::Static(item) => Some(&item.ident),
            syn::Item::Struct(item) => Some(&item.ident),
            syn::Item::Trait(item) => Some(&item.ident),
            syn::Item::Type(item) => Some(&item.ident),
            syn::Item::Mod(_) => return,
            _ => None,
        };
        self.0.items.extend(ident.map(ToString::to_string));
        visit::visit_item(self, item);
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        leaves(&item.tree, Vec::new(), &mut |path, name| {
            let Some(absolute) = self.0.absolute(&path) else { return };
            match name {
                Some(name) => drop(self.0.uses.insert(name, absolute)),
                None => self.0.globs.push(absolute),
            }
        });
    }
}

/// The single imports of a `use`, each with its local name. `None` for a glob.
fn leaves(tree: &syn::UseTree, start: Name, found: &mut impl FnMut(Name, Option<String>)) {
    let then = |ident: &syn::Ident| [start.as_slice(), &[ident.to_string()]].concat();
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, then(&path.ident), found),
        syn::UseTree::Name(name) if name.ident == "self" => found(start.clone(), start.last().cloned()),
        syn::UseTree::Name(name) => found(then(&name.ident), Some(name.ident.to_string())),
        syn::UseTree::Rename(rename) if rename.ident == "self" => found(start, Some(rename.rename.to_string())),
        syn::UseTree::Rename(rename) => found(then(&rename.ident), Some(rename.rename.to_string())),
        syn::UseTree::Glob(_) => found(start, None),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, start.clone(), found)),
    }
}

/// Sets of files that all lead to each other.
fn circles_of<'f>(imports: &BTreeMap<&'f Path, BTreeMap<&'f Path, BTreeSet<String>>>) -> Vec<BTreeSet<&'f Path>> {
    let reach = |from: &'f Path| {
        let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
        while let Some(file) = next.pop() {
            next.extend(imports[file].keys().filter(|other| reached.insert(**other)));
        }
        reached
    };
    let reached: BTreeMap<&Path, BTreeSet<&Path>> = imports.keys().map(|file| (*file, reach(file))).collect();
    let circle = |file: &&'f Path| {
        reached[file].iter().copied().filter(|other| reached[other].contains(file)).collect::<BTreeSet<_>>()
    };
    let circles: BTreeSet<BTreeSet<&Path>> = imports.keys().map(circle).filter(|circle| !circle.is_empty()).collect();
    circles.into_iter().collect()
}
