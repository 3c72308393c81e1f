//! The two functions that record an outcome in the session of a handler: the statements of workers,
//! behind a look at the host's token.
//!
//! A function's name ends with a digest of its text. So hosts of two releases, whose statements may
//! differ, each call their own.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::SchemaFeatures;
use super::statements::WORKER_STATEMENTS;
use crate::names::Names;

/// Stands for a schema that only the database knows. No schema of a deployment is called so.
pub(super) const SCHEMA: &str = "the_schema_of_this_queue";

/// Parameters that both begin with: as those of the statements.
const BOTH: &str = "bigint[], uuid, timestamptz[], integer[], bigint[], bigint[], bigint[], text[]";
/// The history, figures of the run and what it printed.
const LAST: &str = "text[], text[], bigint[], bigint[], bigint[], integer[], \
                    bytea[], bigint[], bigint[], boolean[]";
/// That of the host.
const TOKEN: &str = "bytea";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    /// The job leaves the queue.
    End,
    /// It stays.
    Back,
}

impl Function {
    pub(super) const ALL: [Function; 2] = [Function::End, Function::Back];

    fn label(self) -> &'static str {
        match self {
            Function::End => "end",
            Function::Back => "back",
        }
    }

    fn statement(self) -> &'static str {
        match self {
            Function::End => "finish_with_extras",
            Function::Back => "put_back",
        }
    }

    fn parameters(self) -> String {
        match self {
            Function::End => format!(
                "{BOTH}, text[], bytea[], bigint[], integer[], text[], bytea[], bigint[], text[], text[], {LAST}, {TOKEN}"
            ),
            Function::Back => format!("{BOTH}, bigint[], integer[], text[], {LAST}, text[], {TOKEN}"),
        }
    }
}

/// The beginning of the names of all such functions, of any release.
pub(super) fn prefix(names: &Names) -> String {
    format!("{}_handler_", names.queue_table.to_lowercase())
}

/// The name, bare, as it is in the catalog.
pub(super) fn name(names: &Names, function: Function) -> String {
    let digest = Sha256::digest(body(&with_schema(names), function));
    let mut name = prefix(names) + function.label() + "_";
    digest.iter().take(4).for_each(|byte| _ = write!(name, "{byte:02x}"));
    name
}

/// The function with its parameters' types, in the schema or in [`SCHEMA`].
pub(super) fn signature(names: &Names, function: Function) -> String {
    format!("{}({})", with_schema(names).qualified(&name(names, function)), function.parameters())
}

/// Everything in it is qualified or `pg_catalog`'s, so that it means the same whatever the session has
/// set. What could change the meaning of its text is set.
pub(super) fn definition(names: &Names, function: Function) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION {} RETURNS SETOF bigint LANGUAGE plpgsql SECURITY DEFINER\n\
         SET search_path = pg_catalog, pg_temp SET standard_conforming_strings = on SET transform_null_equals = off\n\
         SET array_nulls = on AS $handler${}$handler$;",
        signature(names, function),
        body(&with_schema(names), function)
    )
}

fn with_schema(names: &Names) -> Names {
    Names { schema: Some(names.schema.clone().unwrap_or_else(|| SCHEMA.into())), ..names.clone() }
}

fn body(names: &Names, function: Function) -> String {
    let wanted = |file: &&super::WorkerStatement| file.name == function.statement();
    let statement = WORKER_STATEMENTS.iter().find(wanted).expect("a statement of workers");
    let (statement, host) = (statement.render(names, SchemaFeatures::ALL), names.qualified(&names.host_table()));
    let token = function.parameters().split(", ").count();
    format!(
        "\nBEGIN\n\
         -- The token is the host's: of its key, this claim, this session and this transaction.\n\
         IF cardinality($1) IS DISTINCT FROM 1 OR sha256(${token}) IS DISTINCT FROM (\n\
             SELECT sha256(sha256(handler_key || sha256(convert_to(concat_ws(' ', $1[1],\n\
                 (extract(epoch FROM $3[1]) * 1000000)::bigint, pg_backend_pid(),\n\
                 (extract(epoch FROM now()) * 1000000)::bigint), 'UTF8'))))\n\
             FROM {host} WHERE id = $2)\n\
         THEN\n\
             RAISE insufficient_privilege USING MESSAGE = 'only the host records outcomes';\n\
         END IF;\n\
         RETURN QUERY {statement};\n\
         END;\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameSettings;

    #[test]
    fn a_name_fits_and_all_that_a_body_names_is_qualified() {
        let long = |variable: &str| (variable == "PGQUEUER_QUEUE_TABLE").then(|| "Q".repeat(40));
        let longest = Names::new(&NameSettings::default(), long).expect("valid");
        for schema in ["", "Jobs"] {
            let settings = NameSettings { prefix: None, schema: Some(schema.into()) };
            let names = Names::new(&settings, |_| None).expect("valid");
            for function in Function::ALL {
                assert!(name(&longest, function).len() <= 63, "{}", name(&longest, function));
                let definition = definition(&names, function);
                for (place, _) in definition.match_indices("pgqueuer") {
                    assert!(
                        definition[..place].ends_with(".\""),
                        "{}",
                        &definition[place.saturating_sub(40)..place + 20]
                    );
                }
            }
        }
    }
}
