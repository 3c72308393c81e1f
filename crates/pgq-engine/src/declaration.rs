//! What a plugin declares about itself when it is loaded. It is kept as long as the plugin, so its
//! size is limited.

use std::collections::BTreeMap;

use super::needs::{Kind, Needs};
use crate::printable::cut;
use pgq_job::EntrypointOptions;

/// A plugin's declaration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Declaration {
    /// `None` means the file's name.
    pub name: Option<String>,
    pub version: Option<String>,
    pub entrypoints: BTreeMap<String, EntrypointOptions>,
    /// The grants that it needs.
    pub needs: Needs,
    /// All mistakes in the declaration.
    pub(super) mistakes: Vec<String>,
    bytes: usize,
}

const MAX_MISTAKES: usize = 50;
const MAX_MISTAKE_BYTES: usize = 500;
/// The most bytes of names, schedules and needs together, because a host keeps the declaration of
/// every plugin.
const MAX_BYTES: usize = 1 << 20;

impl Declaration {
    pub(super) fn mistake(&mut self, mistake: String) {
        // A guest that repeats a mistake in a loop must not fill the host's memory.
        if self.mistakes.len() < MAX_MISTAKES {
            self.mistakes.push(cut(&mistake, MAX_MISTAKE_BYTES).to_owned());
        }
    }

    /// Whether there is room for these bytes. If not, that is recorded as a mistake.
    pub(super) fn has_room(&mut self, bytes: usize) -> bool {
        let has = self.bytes + bytes <= MAX_BYTES;
        if has {
            self.bytes += bytes;
        } else {
            self.mistake(format!("names, schedules and needs have more than {MAX_BYTES} bytes together"));
        }
        has
    }

    pub(super) fn need(&mut self, kind: Kind, what: String) {
        if self.has_room(what.len()) {
            self.needs.add(kind, what);
        }
    }

    /// Record a mistake if an entrypoint takes batches but the component does not export the batch
    /// handler.
    pub(super) fn check_batches(&mut self, exported: bool) {
        let batched = self.entrypoints.iter().find(|(_, options)| options.batch.is_some());
        if let Some((name, _)) = batched.filter(|_| !exported) {
            let mistake = format!(
                "entrypoint {name:?} takes batches, but the component does not export pgq:plugin/batch-handler"
            );
            self.mistake(mistake);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_is_bounded_by_bytes() {
        let mut declaration = Declaration::default();
        for n in 0..1_000 {
            declaration.mistake(format!("{n}{}", "x".repeat(1 << 16)));
        }
        assert!(declaration.mistakes.iter().map(String::len).sum::<usize>() <= MAX_MISTAKES * MAX_MISTAKE_BYTES);
        let mut declaration = Declaration::default();
        while declaration.mistakes.is_empty() {
            declaration.need(Kind::Env, "x".repeat(1 << 10));
        }
        assert_eq!((declaration.bytes, declaration.needs.iter().count()), (MAX_BYTES, 0));
    }
}
