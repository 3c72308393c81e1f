//! What hosts say of a version that they serve: what it may do, what it was denied, and which limits
//! its runs hit.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Texts of each kind that are told of a version, over all hosts.
const MOST: usize = 100;

/// Something that a version may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
pub struct GrantLook {
    /// `http`, `sql`, `enqueue`, `secret` and so on.
    pub kind: String,
    /// Its name, never its value.
    pub name: String,
}

/// Something that runs tried without a grant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DenialLook {
    /// `http`, `address`, `secret`, `enqueue` or `sql`.
    pub what: String,
    /// What they wanted to reach.
    pub target: String,
    /// The cause and the remedy.
    pub why: String,
    /// How often, on all hosts, since each loaded the version.
    pub times: u64,
}

/// What one host says of a version.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct VersionReport {
    pub version: String,
    pub sha256: String,
    pub grants: Vec<GrantLook>,
    /// What it declares to need and is not granted, with the line that grants it.
    pub missing: Vec<String>,
    pub denied: Vec<DenialLook>,
    /// How often its runs hit each limit.
    pub limits: BTreeMap<String, u64>,
}

impl VersionReport {
    /// What another host says of it as well. Hosts may have other grants.
    pub(super) fn add(&mut self, other: &VersionReport) {
        self.grants.extend(other.grants.iter().cloned());
        self.grants.sort();
        self.grants.dedup();
        self.grants.truncate(MOST);
        self.missing.extend(other.missing.iter().cloned());
        self.missing.sort();
        self.missing.dedup();
        self.missing.truncate(MOST);
        for denial in &other.denied {
            let place = self.denied.iter().position(|one| one.what == denial.what && one.target == denial.target);
            match place {
                Some(place) => self.denied[place].times = self.denied[place].times.saturating_add(denial.times),
                None if self.denied.len() < MOST => self.denied.push(denial.clone()),
                None => {}
            }
        }
        self.denied.sort_by(|one, other| other.times.cmp(&one.times).then(one.target.cmp(&other.target)));
        for (limit, times) in &other.limits {
            let known = self.limits.entry(limit.clone()).or_default();
            *known = known.saturating_add(*times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_say_is_added_up() {
        let denial = |target: &str, times| DenialLook {
            what: "http".into(),
            target: target.into(),
            why: "grant it".into(),
            times,
        };
        let grant = GrantLook { kind: "http".into(), name: "https://a:443".into() };
        let report = |denied, memory| VersionReport {
            grants: vec![grant.clone()],
            missing: vec!["it needs more".into()],
            denied,
            limits: [("memory".to_owned(), memory)].into(),
            ..VersionReport::default()
        };
        let mut all = report(vec![denial("https://b", 2)], 1);
        all.add(&report(vec![denial("https://c", 9), denial("https://b", 3)], 4));
        assert_eq!((all.grants.len(), all.missing.len()), (1, 1));
        assert_eq!(all.denied, [denial("https://c", 9), denial("https://b", 5)]);
        assert_eq!(all.limits["memory"], 5);
    }
}
