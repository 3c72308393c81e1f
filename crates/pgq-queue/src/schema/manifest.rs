//! What PgQueuer 1.6.0 and pgq-host declare: the migrations, rendered for one set of names and read
//! as comparable objects.

use super::object::{Column, Kind, Object, Owner};
use super::template::{self, ColumnLine};
use crate::names::Names;

const PGQUEUER: &str = include_str!("../../migrations/0001_pgqueuer.sql");
const PGQ_HOST: &str = include_str!("../../migrations/0002_pgq_host.sql");

/// What earlier releases of PgQueuer left behind and its own upgrade clears away.
#[derive(Debug)]
pub(super) struct Retired {
    pub(super) index: String,
    pub(super) type_name: String,
    /// A column that nothing writes any more: its NOT NULL goes, its data stays.
    pub(super) column: (String, &'static str),
}

/// Everything declared, in the order in which it can be made.
#[derive(Debug)]
pub(super) struct Manifest {
    pub(super) objects: Vec<Object>,
    pub(super) retired: Retired,
}

impl Manifest {
    pub(super) fn new(names: &Names) -> Manifest {
        let spelling = Spelling::new(names);
        let parse =
            |template, owner| template::statements(template).into_iter().map(move |statement| (statement, owner));
        let statements = parse(PGQUEUER, Owner::PgQueuer).chain(parse(PGQ_HOST, Owner::PgqHost));
        Manifest {
            objects: statements.map(|(statement, owner)| spelling.object(statement, owner)).collect(),
            retired: Retired {
                index: spelling.catalog("{queue.bare}_heartbeat_id_id1_idx"),
                type_name: spelling.catalog("{retired_type}"),
                column: (spelling.catalog("{statistics}"), "time_in_queue"),
            },
        }
    }

    pub(super) fn tables(&self) -> impl Iterator<Item = (&Object, &'static str)> {
        self.objects.iter().filter_map(|object| match object.kind {
            Kind::Table { role, .. } => Some((object, role)),
            _ => None,
        })
    }
}

/// The two ways to write a name: for SQL that is run, and as the catalog prints it when its schema
/// comes first in the search path.
struct Spelling<'a> {
    names: &'a Names,
    bare: Names,
}

impl<'a> Spelling<'a> {
    fn new(names: &'a Names) -> Spelling<'a> {
        let mut bare = names.clone();
        bare.schema = None;
        for name in [
            &mut bare.queue_table,
            &mut bare.log_table,
            &mut bare.statistics_table,
            &mut bare.schedules_table,
            &mut bare.status_type,
            &mut bare.function,
            &mut bare.trigger,
            &mut bare.retired_type,
        ] {
            *name = name.to_lowercase();
        }
        Spelling { names, bare }
    }

    fn sql(&self, template: &str) -> String {
        self.names.render(template)
    }

    fn catalog(&self, template: &str) -> String {
        self.bare.render(template).replace('"', "")
    }

    fn object(&self, statement: &'static str, owner: Owner) -> Object {
        let (kind, name) = self.kind(statement);
        let name = self.catalog(name);
        Object { owner, sql_name: self.names.qualified(&name), name, create: self.sql(statement), kind }
    }

    fn kind(&self, statement: &'static str) -> (Kind, &'static str) {
        let whole = statement.trim_end_matches(';');
        let (head, tail) = whole.split_once(['(', '\n']).unwrap_or((whole, ""));
        let words: Vec<&str> =
            head.split_whitespace().filter(|w| !["OR", "REPLACE", "IF", "NOT", "EXISTS"].contains(w)).collect();
        match words[..] {
            ["CREATE", "TYPE", name, "AS", "ENUM"] => {
                let labels = tail.trim_end_matches(')').split(", ").map(|label| label.trim_matches('\'').to_owned());
                (Kind::Enum { labels: labels.collect() }, name)
            }
            ["CREATE", "TABLE", name] => {
                let (columns, uniques) = template::table_body(statement);
                let role = name.trim_matches(['{', '}']);
                (
                    Kind::Table { role, columns: columns.into_iter().map(|line| self.column(line)).collect(), uniques },
                    name,
                )
            }
            ["CREATE", "INDEX", name, "ON", table, ..] => (self.index(statement, table, false), name),
            ["CREATE", "UNIQUE", "INDEX", name, "ON", table, ..] => (self.index(statement, table, true), name),
            ["CREATE", "FUNCTION", name] => {
                let body = statement.split("$$").nth(1).expect("a function has a body");
                (Kind::Function { body: self.sql(body) }, name)
            }
            ["CREATE", "TRIGGER", name, ..] => {
                let (_, table) = head.rsplit_once(' ').expect("a trigger's first line ends with its table");
                let definition = one_line(&self.catalog(statement.trim_end_matches(';'))).replace("OR REPLACE ", "");
                (Kind::Trigger { table: self.catalog(table), table_sql: self.sql(table), definition }, name)
            }
            ["ALTER", "TABLE", name, "REPLICA", "IDENTITY", "FULL"] => (Kind::ReplicaIdentity, name),
            _ => unreachable!("a kind of statement that the schema does not know: {statement}"),
        }
    }

    fn index(&self, statement: &str, table: &str, unique: bool) -> Kind {
        let tail = statement.find("USING ").expect("an index names its method");
        Kind::Index { table: self.catalog(table), unique, tail: self.catalog(statement[tail..].trim_end_matches(';')) }
    }

    fn column(&self, line: ColumnLine) -> Column {
        Column {
            name: line.name,
            definition: self.sql(line.definition),
            type_name: self.catalog(line.type_name),
            type_sql: self.sql(line.type_name),
            not_null: line.not_null,
            default: line.default.map(|default| self.catalog(default)),
            default_sql: line.default.map(|default| self.sql(default)),
            kind: line.kind,
            primary_key: line.primary_key,
        }
    }
}

/// Bodies and definitions compare by their tokens, as PgQueuer compares them, not by their
/// indentation.
pub(super) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
