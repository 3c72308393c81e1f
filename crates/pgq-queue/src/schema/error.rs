//! What can go wrong with the schema. Every message names the object, the cause and the remedy.

/// The reason why the schema could not be made, changed or used.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// `install` met something of PgQueuer's, be it only a part.
    #[error(
        "PgQueuer's objects exist already in {place}: {found}; run `pgq-host upgrade`, which adopts them and adds what is missing"
    )]
    AlreadyInstalled {
        /// Where it was looked for.
        place: String,
        /// The tables and enums found.
        found: String,
    },
    /// The schema is not there and was not to be made.
    #[error("the schema {schema:?} does not exist; create it, or install with --create-schema as a role that may")]
    NoSchema { schema: String },
    /// A column has a type that no release ever gave it.
    #[error(
        "the column {table}.{column} is {installed}, but PgQueuer declares {declared}, and there is no safe conversion; \
         change it with ALTER TABLE, then run `pgq-host upgrade` again"
    )]
    Drift {
        /// The table's bare name.
        table: String,
        column: String,
        /// The type in the database.
        installed: String,
        /// The type in the declaration.
        declared: String,
    },
    /// A worker cannot run on this database.
    #[error("the database lacks what a worker needs in {place}: {missing}; run `pgq-host {verb}`")]
    Incomplete {
        /// Where it was looked for.
        place: String,
        /// The missing objects, in words.
        missing: String,
        /// `install` where nothing is there, `upgrade` otherwise.
        verb: &'static str,
    },
    /// A table could not be locked for a change.
    #[error(
        "`{statement}` gave up waiting for its lock, so that the jobs behind it could go on; a long transaction holds the table \
         (see pg_stat_activity): end it, then run the command again, which continues where it stopped"
    )]
    Busy {
        statement: String,
        /// The last attempt's error.
        source: sqlx::Error,
    },
    /// PostgreSQL refused a statement.
    #[error("`{statement}` was refused{remedy}")]
    Refused {
        statement: String,
        /// What to do about it, by SQLSTATE; empty where nothing general can be said.
        remedy: &'static str,
        /// PostgreSQL's own words.
        source: sqlx::Error,
    },
    /// The catalog could not be read, or a transaction not be ended: most likely the connection is
    /// gone.
    #[error("could not read the database's catalog; check the connection")]
    Catalog(#[from] sqlx::Error),
}

impl SchemaError {
    pub(super) fn refused(statement: &str, source: sqlx::Error) -> SchemaError {
        let code = source.as_database_error().and_then(|error| error.code()).unwrap_or_default();
        let remedy = match &*code {
            "42501" => "; run it as the owner of PgQueuer's objects or as a superuser",
            "42P01" => {
                "; it is not there: run `pgq-host install`, or `pgq-host upgrade` where PgQueuer made the tables"
            }
            "42704" => "; create it first",
            "2BP01" => "; something that is neither PgQueuer's nor pgq-host's depends on it: drop that first",
            "23505" => "; rows contradict the unique index: remove the duplicates, then run the command again",
            "23502" => "; rows hold nulls where the column must not: fill them, then run the command again",
            _ => "",
        };
        SchemaError::Refused { statement: first_line(statement), remedy, source }
    }

    pub(super) fn busy(statement: &str, source: sqlx::Error) -> SchemaError {
        SchemaError::Busy { statement: first_line(statement), source }
    }
}

/// Enough to know the statement by; a function's body would bury the cause.
fn first_line(statement: &str) -> String {
    statement.lines().next().unwrap_or_default().to_owned()
}
