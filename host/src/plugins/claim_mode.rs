//! How the jobs of an entrypoint are claimed: by a lock alone, or by a mark in their rows.

use serde::Deserialize;

use super::Chosen;
use pgq_engine::Grants;
use pgq_job::EntrypointOptions;

/// What an operator chooses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum ClaimMode {
    /// Locked where the sandbox leaves a plugin no effects but its outcomes, else marked
    #[default]
    Auto,
    /// Rows are locked, and marked only if a job runs for longer
    Locked,
    /// Rows are marked before their jobs run
    Marked,
}

impl Chosen<ClaimMode> {
    /// Whether jobs of this entrypoint may be locked only.
    pub fn locks(&self, plugin: &str, entrypoint: &str, grants: &Grants) -> bool {
        match self.of(plugin, entrypoint) {
            ClaimMode::Auto => !grants.has_way_out(),
            // What it writes is committed with the end of its row, in another transaction than the
            // one that would lock it.
            ClaimMode::Locked => grants.sql.is_none(),
            ClaimMode::Marked => false,
        }
    }
}

/// How claims of an entrypoint are called where they are shown: `locked` or `marked`. One with a
/// limit needs its slot in the row.
pub fn claim_label(locks: bool, options: &EntrypointOptions) -> &'static str {
    if locks && options.concurrency.is_none() { "locked" } else { "marked" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pgq_engine::{HttpGrant, Origin, SqlGrant};

    #[test]
    fn a_plugin_with_a_way_out_is_marked_unless_its_operator_says_otherwise() {
        let origin: Origin = "https://a.example".parse().expect("an origin");
        let (closed, open) = (Grants::default(), Grants { http: vec![HttpGrant::any(origin)], ..Grants::default() });
        let mut modes = Chosen::<ClaimMode>::default();
        assert!(modes.locks("p", "e", &closed) && !modes.locks("p", "e", &open));
        modes.plugins.insert("p".into(), ClaimMode::Locked);
        assert!(modes.locks("p", "e", &open));
        modes.entrypoints.insert(("p".into(), "e".into()), ClaimMode::Marked);
        assert!(!modes.locks("p", "e", &closed) && modes.locks("p", "f", &closed));
        let sql = Grants { sql: Some(SqlGrant::new("r")), ..Grants::default() };
        assert!(!modes.locks("p", "f", &sql) && !modes.locks("q", "f", &sql));
        modes.all = ClaimMode::Marked;
        assert!(modes.locks("p", "f", &closed) && !modes.locks("q", "e", &closed));
    }
}
