//! Bounds the number of series: names come from plugins, and whoever stores metrics pays for each.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

/// Entrypoints with series of their own. What else there is, is counted together.
pub const MOST_ENTRYPOINTS: usize = 200;
/// Entrypoints of a version in a role with series of their own, over the life of the process.
pub const MOST_VERSIONS: usize = 1_000;
/// The label of all others.
pub const OTHER: &str = "other";

static ENTRYPOINTS: LazyLock<Seats> = LazyLock::new(|| Seats::new(MOST_ENTRYPOINTS));
static VERSIONS: LazyLock<Seats> = LazyLock::new(|| Seats::new(MOST_VERSIONS));

/// Names that came first.
#[derive(Debug)]
struct Seats {
    most: usize,
    taken: Mutex<HashSet<String>>,
}

impl Seats {
    fn new(most: usize) -> Seats {
        Seats { most, taken: Mutex::default() }
    }

    /// Whether there is a seat for it. Once it has one, it keeps it.
    fn has(&self, name: &str) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.contains(name) || (taken.len() < self.most && taken.insert(name.to_owned()))
    }
}

/// The plugin, its entrypoint and its version as labels.
pub(crate) fn labels(plugin: &str, entrypoint: &str, version: &str, role: &str) -> [Arc<str>; 3] {
    let entrypoint = entrypoint_label(entrypoint);
    // All of it is one name: many versions of many entrypoints would be too many together.
    match VERSIONS.has(&format!("{plugin}\0{version}\0{role}\0{entrypoint}")) {
        true => [plugin.into(), entrypoint.into(), version.into()],
        false => [OTHER.into(), entrypoint.into(), OTHER.into()],
    }
}

/// The entrypoint as a label.
pub(crate) fn entrypoint_label(entrypoint: &str) -> &str {
    if ENTRYPOINTS.has(entrypoint) { entrypoint } else { OTHER }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_names_keep_their_seats_and_the_others_share_one() {
        let seats = Seats::new(2);
        assert!(seats.has("a") && seats.has("b") && !seats.has("c"));
        assert!(seats.has("a") && !seats.has("d"));
        for n in 0..10_000 {
            labels(&format!("plugin{}", n % 7), &format!("entrypoint{n}"), &n.to_string(), "stable");
        }
        assert_eq!(ENTRYPOINTS.taken.lock().unwrap_or_else(PoisonError::into_inner).len(), MOST_ENTRYPOINTS);
        assert_eq!(VERSIONS.taken.lock().unwrap_or_else(PoisonError::into_inner).len(), MOST_VERSIONS);
        assert_eq!(labels("late", "late", "1", "canary").map(|label| label.to_string()), [OTHER; 3]);
    }
}
