//! One declared object, as it can be compared with the catalog.

use std::fmt;

use super::template::ColumnKind;

/// Who declares an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    PgQueuer,
    PgqHost,
}

#[derive(Debug)]
pub(super) struct Object {
    pub(super) owner: Owner,
    /// The name as the catalog has it: bare, in lower case.
    pub(super) name: String,
    /// The name as SQL needs it: quoted, qualified (a trigger's is its table's business).
    pub(super) sql_name: String,
    /// The statement that makes it.
    pub(super) create: String,
    pub(super) kind: Kind,
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

/// The comparable part, in the catalog's spelling.
#[derive(Debug)]
pub(super) enum Kind {
    Enum {
        labels: Vec<String>,
    },
    Table {
        role: &'static str,
        columns: Vec<Column>,
        uniques: Vec<Vec<&'static str>>,
    },
    Index {
        table: String,
        unique: bool,
        tail: String,
    },
    Function {
        body: String,
    },
    Trigger {
        table: String,
        table_sql: String,
        definition: String,
    },
    /// By what a published change names the row that was: all of it, where a table has no key.
    ReplicaIdentity,
}

#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    /// What follows the name in DDL, qualified.
    pub(super) definition: String,
    pub(super) type_name: String,
    /// The type as DDL, qualified.
    pub(super) type_sql: String,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    /// The default as DDL, qualified.
    pub(super) default_sql: Option<String>,
    pub(super) kind: ColumnKind,
    pub(super) primary_key: bool,
}
