//! A field that is a list: tracing knows numbers, truths and text.

use std::fmt;

/// The fields that are lists; each is given as `%list(..)` wherever it is logged.
pub(super) const LISTS: [&str; 4] = ["entrypoints", "job.ids", "lacking", "tasks"];

/// A list as JSON, which reads well in text too.
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
