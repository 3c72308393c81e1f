//! What a component's imports of libraries are called.

/// A component with such a name of its own stays whole.
const IMPORT: &str = "pgq-library-";

/// By which a component imports its library of this number.
pub(super) fn library_name(number: usize) -> String {
    format!("{IMPORT}{number}")
}

/// Whether an import is of a library, and so no business of the component's author.
pub(super) fn is_library(import: &str) -> bool {
    import.starts_with(IMPORT)
}
