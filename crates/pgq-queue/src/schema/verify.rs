//! Tells what is missing, different or left over, object by object.

use sqlx::PgConnection;

use super::catalog::Catalog;
use super::diff;
use super::error::SchemaError;
use super::finding::{Finding, Problem};
use super::manifest::Manifest;
use super::object::{Kind, Object};
use crate::names::Names;

/// What `verify` is to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Every object of PgQueuer and pgq-host, as declared.
    Present,
    /// None of them.
    Absent,
}

/// Compare the database with what is expected; nothing found means that all is well.
pub async fn verify(conn: &mut PgConnection, names: &Names, expect: Expect) -> Result<Vec<Finding>, SchemaError> {
    let manifest = Manifest::new(names);
    let live = Catalog::read(conn, names, &manifest).await?;
    Ok(match expect {
        Expect::Present => diff::differences(names, &live, &manifest).into_iter().map(|one| one.finding).collect(),
        Expect::Absent => {
            let part_of_its_table = |object: &Object| matches!(object.kind, Kind::ReplicaIdentity);
            let standing = manifest
                .objects
                .iter()
                .filter(|object| !part_of_its_table(object) && live.has(object))
                .map(ToString::to_string);
            let retired = &manifest.retired.type_name;
            let retired = live.enums.contains_key(retired).then(|| format!("enum {retired}"));
            let unexpected = |object| Finding { problem: Problem::Unexpected, object, detail: String::new() };
            standing.chain(retired).map(unexpected).collect()
        }
    })
}
