//! Tells what is missing, different or left over, object by object.

use std::fmt;

use serde::Serialize;
use sqlx::PgConnection;

use super::catalog::Catalog;
use super::diff;
use super::error::SchemaError;
use super::manifest::{Kind, Manifest, Object};
use crate::names::Names;

/// What `verify` is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Every object of PgQueuer and pgq-host, as declared.
    Present,
    /// None of them.
    Absent,
}

/// One object that is not as expected.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// In which way.
    pub problem: Problem,
    /// The object, with its kind: `index pgqueuer_ep_ea_idx`.
    pub object: String,
    /// More about it; may be empty.
    pub detail: String,
}

/// In which way an object is not as expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Problem {
    /// It is not there.
    Missing,
    /// It is there, but not as declared.
    Differs,
    /// It is there and should not be.
    Unexpected,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let problem = match self.problem {
            Problem::Missing => "missing",
            Problem::Differs => "different",
            Problem::Unexpected => "unexpected",
        };
        write!(f, "{problem} {}", self.object)?;
        if self.detail.is_empty() { Ok(()) } else { write!(f, ": {}", self.detail) }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            Kind::Enum { .. } => "enum",
            Kind::Table { .. } => "table",
            Kind::Index { .. } => "index",
            Kind::Function { .. } => "function",
            Kind::Trigger { .. } => "trigger",
            Kind::ReplicaIdentity => "replica identity of",
        };
        write!(f, "{kind} {}", self.name)
    }
}

/// Compare the database with what is expected; nothing found means that all is well.
pub async fn verify(conn: &mut PgConnection, names: &Names, expect: Expect) -> Result<Vec<Finding>, SchemaError> {
    let manifest = Manifest::new(names);
    let live = Catalog::read(conn, names, &manifest).await?;
    Ok(match expect {
        Expect::Present => diff::differences(names, &live, &manifest).into_iter().map(|one| one.finding).collect(),
        Expect::Absent => {
            let part_of_its_table = |object: &Object| matches!(object.kind, Kind::ReplicaIdentity);
            let standing = manifest.objects.iter().filter(|object| !part_of_its_table(object) && live.has(object)).map(ToString::to_string);
            let retired = &manifest.retired.type_name;
            let retired = live.enums.contains_key(retired).then(|| format!("enum {retired}"));
            let unexpected = |object| Finding { problem: Problem::Unexpected, object, detail: String::new() };
            standing.chain(retired).map(unexpected).collect()
        }
    })
}
