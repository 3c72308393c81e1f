//! Fields that are lists, which tracing does not support: it has numbers, booleans and text.

use std::fmt;

/// The names of the fields that are lists. Each is logged as `%list(..)`.
pub(super) const LISTS: [&str; 4] = ["entrypoints", "job.ids", "lacking", "tasks"];

/// A list as JSON, which is readable in the text format, too.
pub(crate) fn list<T: serde::Serialize>(items: &[T]) -> impl fmt::Display + fmt::Debug + use<T> {
    List(serde_json::to_string(items).unwrap_or_else(|_| "[]".into()))
}

struct List(String);

impl fmt::Display for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for List {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
