//! Checks what the hosts' role may do: enough to run jobs, and no more.

use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgConnection, Row as _};

use super::finding::{CheckResult, Finding};
use super::target::{Target, quoted, shell};
use pgq_queue::schema;

/// Predefined roles that give access to the server's machine.
const DANGEROUS: [&str; 4] =
    ["pg_execute_server_program", "pg_write_server_files", "pg_read_server_files", "pg_write_all_data"];

#[derive(Debug)]
struct Attributes {
    rolsuper: bool,
    rolcreaterole: bool,
    rolcreatedb: bool,
    rolreplication: bool,
    rolbypassrls: bool,
    member_of: Vec<String>,
}

impl FromRow<'_, PgRow> for Attributes {
    fn from_row(row: &PgRow) -> sqlx::Result<Attributes> {
        Ok(Attributes {
            rolsuper: row.try_get("rolsuper")?,
            rolcreaterole: row.try_get("rolcreaterole")?,
            rolcreatedb: row.try_get("rolcreatedb")?,
            rolreplication: row.try_get("rolreplication")?,
            rolbypassrls: row.try_get("rolbypassrls")?,
            member_of: row.try_get("member_of")?,
        })
    }
}

const ATTRIBUTES: &str = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, \
    ARRAY(SELECT d.rolname::text FROM pg_roles d WHERE d.rolname = ANY ($2) AND pg_has_role(r.oid, d.oid, 'USAGE')) AS member_of \
    FROM pg_roles r WHERE r.rolname = $1";

/// What the role may do to our tables beyond their rows, and to other tables, according to
/// `pg_class`.
const BEYOND: &str = "WITH place AS ( \
        SELECT oid, nspname FROM pg_namespace WHERE nspname = coalesce($2, current_schema()) \
    ), ours AS ( \
        SELECT c.oid, c.relname, c.relowner, c.relrowsecurity, c.relforcerowsecurity FROM pg_class c JOIN place ON place.oid = c.relnamespace \
        WHERE c.relkind IN ('r', 'p') AND c.relname = ANY ($3) \
    ) \
    SELECT ARRAY(SELECT relname::text FROM ours WHERE pg_has_role($1, relowner, 'USAGE') ORDER BY 1), \
        ARRAY(SELECT relname::text FROM ours WHERE has_table_privilege($1, oid, 'TRUNCATE, TRIGGER') ORDER BY 1), \
        ARRAY(SELECT relname::text FROM ours WHERE relrowsecurity AND (relforcerowsecurity OR NOT pg_has_role($1, relowner, 'USAGE')) ORDER BY 1), \
        ARRAY(SELECT nspname::text FROM place WHERE has_schema_privilege($1, oid, 'CREATE')), \
        ARRAY(SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
            WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND c.oid NOT IN (SELECT oid FROM ours) \
            AND has_schema_privilege($1, n.oid, 'USAGE') AND has_table_privilege($1, c.oid, 'SELECT, INSERT, UPDATE, DELETE') ORDER BY 1)";

/// If the tables do not exist, no privilege on them can be missing.
const THERE: &str = "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
    WHERE n.nspname = coalesce($1, current_schema()) AND c.relname = $2 AND c.relkind IN ('r', 'p'))";

pub(super) async fn check(target: &Target<'_>) -> CheckResult {
    let (names, role) = (&target.deployment.names, target.role.as_str());
    let mut read_only = target.read_only().await?;
    let Some(attributes) = sqlx::query_as::<_, Attributes>(ATTRIBUTES)
        .bind(role)
        .bind(DANGEROUS.as_slice())
        .fetch_optional(&mut *read_only)
        .await?
    else {
        let remedy = format!(
            "CREATE ROLE {} LOGIN; then {}",
            quoted(role),
            target.command(&format!("grant --apply {}", shell(role)))
        );
        return Ok(vec![Finding::error(format!("there is no role {role:?}"), "hosts cannot connect as it", remedy)]);
    };
    let mut found = Vec::new();
    let missing = schema::missing_privileges(&mut read_only, names, role).await?;
    if !missing.is_empty() {
        let why = "a host could not claim jobs, or could not record their outcomes";
        let remedy = format!("{} (as the tables' owner)", target.command(&format!("grant --apply {}", shell(role))));
        found.push(Finding::error(format!("the role {role:?} lacks {}", missing.join(", ")), why, remedy));
    }
    if attributes.rolsuper {
        let why = "anyone who takes over a host's process has the whole server, including its files";
        found.push(Finding::warning(format!("the role {role:?} is a superuser"), why, another_role(target)));
    } else {
        found.extend(attributes.findings(role));
        found.extend(excess_privileges(target, &mut read_only, attributes.rolbypassrls).await?);
    }
    if found.is_empty() {
        let queue = names.queue_table.to_lowercase();
        let there: bool =
            sqlx::query_scalar(THERE).bind(names.schema.as_deref()).bind(&queue).fetch_one(&mut *read_only).await?;
        found.push(if there {
            Finding::ok(format!("the role {role:?} may do what a host needs, and no more"))
        } else {
            Finding::note(
                format!("the role {role:?} has no dangerous privilege; {queue} does not exist, so it was not checked"),
                "",
                "see `schema`",
            )
        });
    }
    Ok(found)
}

impl Attributes {
    fn findings(&self, role: &str) -> Option<Finding> {
        let words = [
            (self.rolcreaterole, "CREATEROLE"),
            (self.rolcreatedb, "CREATEDB"),
            (self.rolreplication, "REPLICATION"),
            (self.rolbypassrls, "BYPASSRLS"),
        ];
        let has: Vec<&str> = words.iter().filter(|(has, _)| *has).map(|(_, word)| *word).collect();
        let mut what = has.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let mut remedy = Vec::new();
        if !has.is_empty() {
            remedy.push(format!(
                "ALTER ROLE {} {};",
                quoted(role),
                has.iter().map(|word| format!("NO{word}")).collect::<Vec<_>>().join(" ")
            ));
        }
        for group in &self.member_of {
            what.push(format!("membership in {group}"));
            remedy.push(format!("REVOKE {group} FROM {};", quoted(role)));
        }
        let why = "no host needs it, and anyone who takes over a host's process has it";
        (!what.is_empty())
            .then(|| Finding::warning(format!("the role {role:?} has {}", what.join(", ")), why, remedy.join(" ")))
    }
}

async fn excess_privileges(
    target: &Target<'_>,
    read_only: &mut PgConnection,
    bypasses: bool,
) -> sqlx::Result<Vec<Finding>> {
    type Lists = (Vec<String>, Vec<String>, Vec<String>, Vec<String>, Vec<String>);
    let role = target.role.as_str();
    let (owned, altered, row_security, schemas, others): Lists = sqlx::query_as(BEYOND)
        .bind(role)
        .bind(target.deployment.names.schema.as_deref())
        .bind(schema::tables(&target.deployment.names))
        .fetch_one(read_only)
        .await?;
    let mut found = Vec::new();
    if !row_security.is_empty() && !bypasses {
        let why = "policies hide rows silently: jobs that a host does not see never run";
        let remedy =
            row_security.iter().map(|table| format!("ALTER TABLE {} DISABLE ROW LEVEL SECURITY;", quoted(table)));
        found.push(Finding::error(
            format!("row-level security is on for {}", row_security.join(", ")),
            why,
            remedy.collect::<Vec<_>>().join(" "),
        ));
    }
    if !owned.is_empty() {
        let why = "an owner may drop and alter them; a host needs only their rows";
        found.push(Finding::warning(format!("the role {role:?} owns {}", owned.join(", ")), why, another_role(target)));
    } else if !altered.is_empty() {
        let why = "a host needs neither TRUNCATE nor TRIGGER";
        let tables = altered.iter().map(|table| quoted(table)).collect::<Vec<_>>().join(", ");
        let remedy = format!("REVOKE TRUNCATE, TRIGGER ON {tables} FROM {};", quoted(role));
        found.push(Finding::warning(
            format!("the role {role:?} may truncate, or put triggers on, {}", altered.join(", ")),
            why,
            remedy,
        ));
    }
    if !schemas.is_empty() && owned.is_empty() {
        let remedy = schemas
            .iter()
            .map(|schema| format!("REVOKE CREATE ON SCHEMA {0} FROM PUBLIC, {1};", quoted(schema), quoted(role)));
        let why = "a host creates no objects";
        found.push(Finding::note(
            format!("the role {role:?} may create objects in {}", schemas.join(", ")),
            why,
            remedy.collect::<Vec<_>>().join(" "),
        ));
    }
    if let Some(first) = others.first() {
        let which =
            if others.len() == 1 { first.clone() } else { format!("{first} and {} other tables", others.len() - 1) };
        let why = "plugins cannot reach the database, but anyone who takes over a host's process can";
        found.push(Finding::note(
            format!("the role {role:?} may also read or write {which}"),
            why,
            another_role(target),
        ));
    }
    Ok(found)
}

fn another_role(target: &Target<'_>) -> String {
    format!(
        "CREATE ROLE pgq_worker LOGIN; then {}, and have hosts connect as it",
        target.command("grant --apply pgq_worker")
    )
}
