//! What is in the database, read from `pg_catalog`: only objects that the declaration names, in the
//! spelling it is written in.

use std::collections::BTreeMap;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};

use super::manifest::{Manifest, one_line};
use super::object::{Kind, Object};
use super::template::ColumnKind;
use crate::names::Names;

/// The live counterpart of a [`Manifest`].
#[derive(Debug, Default)]
pub(super) struct Catalog {
    /// The schema that was looked into, quoted where it needs it; `None` where the search path
    /// leads nowhere.
    pub(super) schema: Option<String>,
    pub(super) schema_exists: bool,
    pub(super) enums: BTreeMap<String, Vec<String>>,
    pub(super) tables: BTreeMap<String, LiveTable>,
    pub(super) indexes: BTreeMap<String, LiveIndex>,
    pub(super) functions: BTreeMap<String, String>,
    /// By table and name: the definition, and whether it fires.
    pub(super) triggers: BTreeMap<(String, String), (String, bool)>,
}

#[derive(Debug, Default)]
pub(super) struct LiveTable {
    pub(super) columns: BTreeMap<String, LiveColumn>,
    pub(super) uniques: Vec<Vec<String>>,
    pub(super) primary_key: Vec<String>,
    /// The sequence behind `id` and its type.
    pub(super) sequence: Option<(String, String)>,
    /// A published change of it has the whole row that was.
    pub(super) full_identity: bool,
}

#[derive(Debug)]
pub(super) struct LiveColumn {
    pub(super) type_name: String,
    pub(super) not_null: bool,
    pub(super) default: Option<String>,
    pub(super) kind: ColumnKind,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct LiveIndex {
    pub(super) table: String,
    pub(super) unique: bool,
    /// False after a CREATE INDEX CONCURRENTLY that failed.
    pub(super) valid: bool,
    pub(super) tail: String,
}

const SCHEMA: &str = "SELECT quote_ident(coalesce($1, current_schema())), \
    EXISTS (SELECT FROM pg_namespace WHERE nspname = coalesce($1, current_schema()))";

const ENUMS: &str = "SELECT t.typname::text, l.enumlabel::text FROM pg_type t \
    JOIN pg_enum l ON l.enumtypid = t.oid JOIN pg_namespace n ON n.oid = t.typnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND t.typname = ANY ($2) ORDER BY 1, l.enumsortorder";

const COLUMNS: &str = "SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod), a.attnotnull, \
    a.attidentity::text <> '', pg_get_expr(d.adbin, d.adrelid) FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
    LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p')";

const CONSTRAINTS: &str = "SELECT c.relname::text, k.contype::text = 'p', \
    array(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place) \
          JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.number ORDER BY u.place) \
    FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND k.contype IN ('p', 'u')";

const SEQUENCES: &str = "SELECT c.relname::text, format('%I.%I', sn.nspname, s.relname), format_type(q.seqtypid, NULL) FROM pg_class c \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'id' \
    JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum \
        AND d.classid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') \
    JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' JOIN pg_namespace sn ON sn.oid = s.relnamespace \
    JOIN pg_sequence q ON q.seqrelid = s.oid \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2)";

/// Every index of the tables: a rebuilt one has a name that is not declared. Those of constraints
/// belong to the constraint.
const INDEXES: &str = "SELECT i.relname::text, c.relname::text, x.indisunique, x.indisvalid, pg_get_indexdef(x.indexrelid) \
    FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid JOIN pg_class c ON c.oid = x.indrelid \
    JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) \
      AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.conindid = x.indexrelid)";

const FULL_IDENTITIES: &str = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND c.relkind IN ('r', 'p') AND c.relreplident = 'f'";

const FUNCTIONS: &str = "SELECT p.proname::text, p.prosrc FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND p.proname = ANY ($2) AND p.pronargs = 0";

const TRIGGERS: &str = "SELECT c.relname::text, t.tgname::text, t.tgenabled IN ('O', 'A'), pg_get_triggerdef(t.oid) FROM pg_trigger t \
    JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = ANY ($2) AND NOT t.tgisinternal";

/// What servers, databases and roles set, and what changes how the catalog is printed: as the
/// declaration is written. It ends with the transaction, also in a session that a pooler lent.
const SPELLING: &str = "SET LOCAL quote_all_identifiers = off; SET LOCAL standard_conforming_strings = on; SET LOCAL bytea_output = hex; \
    SET LOCAL DateStyle = 'ISO, YMD'; SET LOCAL IntervalStyle = postgres; SET LOCAL TimeZone = 'UTC'; SET LOCAL extra_float_digits = 1";

impl Catalog {
    pub(super) async fn read(
        conn: &mut PgConnection,
        names: &Names,
        manifest: &Manifest,
    ) -> Result<Catalog, sqlx::Error> {
        let mut look = conn.begin().await?;
        look.execute(SPELLING).await?;
        let catalog = Catalog::read_as_spelt(&mut look, names, manifest).await?;
        look.rollback().await?;
        Ok(catalog)
    }

    async fn read_as_spelt(
        conn: &mut PgConnection,
        names: &Names,
        manifest: &Manifest,
    ) -> Result<Catalog, sqlx::Error> {
        let schema = names.schema.as_deref();
        let of_kind = |wanted: fn(&Kind) -> bool| -> Vec<String> {
            manifest.objects.iter().filter(|object| wanted(&object.kind)).map(|object| object.name.clone()).collect()
        };
        let tables = of_kind(|kind| matches!(kind, Kind::Table { .. }));
        let functions = of_kind(|kind| matches!(kind, Kind::Function { .. }));
        let mut types = of_kind(|kind| matches!(kind, Kind::Enum { .. }));
        types.push(manifest.retired.type_name.clone());

        let (found, schema_exists): (Option<String>, bool) =
            sqlx::query_as(SCHEMA).bind(schema).fetch_one(&mut *conn).await?;
        if let Some(found) = &found {
            // Quoted by the server itself.
            conn.execute(AssertSqlSafe(format!("SET LOCAL search_path = {found}"))).await?;
        }
        let mut live = Catalog { schema: found, schema_exists, ..Catalog::default() };

        let rows: Vec<(String, String)> = sqlx::query_as(ENUMS).bind(schema).bind(&types).fetch_all(&mut *conn).await?;
        for (name, label) in rows {
            live.enums.entry(name).or_default().push(label);
        }
        let rows: Vec<(String, String, String, bool, bool, Option<String>)> =
            sqlx::query_as(COLUMNS).bind(schema).bind(&tables).fetch_all(&mut *conn).await?;
        for (table, name, type_name, not_null, identity, default) in rows {
            let serial = default.as_ref().is_some_and(|default| default.starts_with("nextval("));
            let kind = match (identity, serial) {
                (true, _) => ColumnKind::Identity,
                (_, true) => ColumnKind::Serial,
                _ => ColumnKind::Plain,
            };
            let default = default.filter(|_| !serial).map(|default| live.bare(&default, manifest));
            let column = LiveColumn { type_name: live.bare(&type_name, manifest), not_null, default, kind };
            live.tables.entry(table).or_default().columns.insert(name, column);
        }
        let rows: Vec<(String, bool, Vec<String>)> =
            sqlx::query_as(CONSTRAINTS).bind(schema).bind(&tables).fetch_all(&mut *conn).await?;
        for (table, primary, columns) in rows {
            let table = live.tables.entry(table).or_default();
            if primary { table.primary_key = columns } else { table.uniques.push(columns) }
        }
        let rows: Vec<(String, String, String)> =
            sqlx::query_as(SEQUENCES).bind(schema).bind(&tables).fetch_all(&mut *conn).await?;
        for (table, sequence, type_name) in rows {
            live.tables.entry(table).or_default().sequence = Some((sequence, type_name));
        }
        let full: Vec<String> =
            sqlx::query_scalar(FULL_IDENTITIES).bind(schema).bind(&tables).fetch_all(&mut *conn).await?;
        for table in full {
            live.tables.entry(table).or_default().full_identity = true;
        }
        let rows: Vec<(String, String, bool, bool, String)> =
            sqlx::query_as(INDEXES).bind(schema).bind(&tables).fetch_all(&mut *conn).await?;
        for (name, table, unique, valid, definition) in rows {
            let tail = definition.find("USING ").map_or("", |at| &definition[at..]);
            let tail = live.bare(tail, manifest);
            live.indexes.insert(name, LiveIndex { table, unique, valid, tail });
        }
        let rows: Vec<(String, String)> =
            sqlx::query_as(FUNCTIONS).bind(schema).bind(&functions).fetch_all(&mut *conn).await?;
        live.functions = rows.into_iter().map(|(name, body)| (name, one_line(&body))).collect();
        let rows: Vec<(String, String, bool, String)> =
            sqlx::query_as(TRIGGERS).bind(schema).bind(&tables).fetch_all(&mut *conn).await?;
        for (table, name, enabled, definition) in rows {
            let definition = live.bare(&definition, manifest);
            live.triggers.insert((table, name), (definition, enabled));
        }
        Ok(live)
    }

    /// Whether there is something of this name and kind, whatever it looks like.
    pub(super) fn has(&self, object: &Object) -> bool {
        match &object.kind {
            Kind::Enum { .. } => self.enums.contains_key(&object.name),
            Kind::Table { .. } => self.tables.contains_key(&object.name),
            Kind::Index { .. } => self.indexes.contains_key(&object.name),
            Kind::Function { .. } => self.functions.contains_key(&object.name),
            Kind::ReplicaIdentity => self.tables.get(&object.name).is_some_and(|table| table.full_identity),
            Kind::Trigger { table, .. } => self.triggers.contains_key(&(table.clone(), object.name.clone())),
        }
    }

    /// Where was looked, in words.
    pub(super) fn place(&self) -> String {
        self.schema
            .as_ref()
            .map_or_else(|| "the search_path, which names no schema".to_owned(), |schema| format!("schema {schema}"))
    }

    /// The text without the schema before declared names: PostgreSQL prints it or not by the search
    /// path.
    fn bare(&self, text: &str, manifest: &Manifest) -> String {
        let schema = self.schema.as_deref().unwrap_or_default();
        manifest
            .objects
            .iter()
            .fold(text.to_owned(), |text, object| text.replace(&format!("{schema}.{}", object.name), &object.name))
    }
}
