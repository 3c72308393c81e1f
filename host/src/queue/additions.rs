//! What a database of the release before may lack until `upgrade` has been. A worker goes without it until its next start, so that
//! hosts and schema may be rolled in either order (migrations/README.md, expand and contract).

use std::sync::Arc;

use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, FromRow, Row as _};

use super::statements::Statements;
use super::{Queue, statistics, suspect};

/// Tables and columns of the newest additions that are not there, or that this role may not use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Lacking {
    /// Which version ran each attempt is not noted.
    pub attempts: bool,
    /// What is written to the log is left for the next count to find, as PgQueuer does it.
    pub tally: bool,
    /// Hosts do not announce themselves.
    pub hosts: bool,
    /// A host's sessions are no sign of its life; its leases are.
    pub presence: bool,
    /// Jobs of a lost worker are charged with it, and not run apart.
    pub suspects: bool,
}

/// A table that the role may not use is as good as none: `upgrade` made it, and `grant` was not run again.
const LACKING: &str = "
WITH usable AS (
    SELECT t.place, bool_and(coalesce(has_table_privilege(to_regclass(t.name), may), false)) AS yes
    FROM unnest(ARRAY['{attempt}', '{tally}', '{host}', '{plugin}', '{suspect}']) WITH ORDINALITY AS t (name, place),
        unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS may
    GROUP BY t.place
), tables AS (
    SELECT array_agg(yes ORDER BY place) AS usable FROM usable
)
SELECT NOT usable[1] AS attempts, NOT usable[2] AS tally, NOT (usable[3] AND usable[4]) AS hosts,
       NOT (usable[3] AND EXISTS (
           SELECT FROM pg_attribute WHERE attrelid = to_regclass('{host}') AND attname = 'presence' AND NOT attisdropped)) AS presence,
       NOT usable[5] AS suspects
FROM tables";

impl FromRow<'_, PgRow> for Lacking {
    fn from_row(row: &PgRow) -> sqlx::Result<Lacking> {
        Ok(Lacking {
            attempts: row.try_get("attempts")?,
            tally: row.try_get("tally")?,
            hosts: row.try_get("hosts")?,
            presence: row.try_get("presence")?,
            suspects: row.try_get("suspects")?,
        })
    }
}

impl Lacking {
    /// What is lacking, in words.
    pub fn names(self) -> Vec<&'static str> {
        let all = [(self.attempts, "attempts"), (self.tally, "tally"), (self.hosts, "hosts"), (self.presence, "presence")];
        all.into_iter().filter_map(|(lacking, name)| lacking.then_some(name)).collect()
    }

    /// A statement, in so far as it can be run. A part that writes to what is lacking becomes a SELECT that nobody reads, and that PostgreSQL
    /// therefore does not run.
    pub(super) fn fill(self, template: &str) -> String {
        let unless = |lacking: bool, text: &'static str| if lacking { "" } else { text };
        template
            .replace(
                "{into_attempt}",
                unless(self.attempts, "INSERT INTO {attempt} (job_id, attempt, plugin, elapsed_us, memory_bytes)\n    "),
            )
            .replace("{into_tally}", unless(self.tally, "INSERT INTO {tally} (created, count, priority, status, entrypoint)\n    "))
            .replace("{suspicion}", suspect::column(self.suspects))
            .replace("{counted}", if self.tally { "false" } else { "true" })
            .replace("{taken}", if self.tally { statistics::NOTHING_TAKEN } else { statistics::TAKEN })
    }
}

impl Queue {
    /// What the database lacks.
    pub async fn lacking(&self) -> sqlx::Result<Lacking> {
        let sql = AssertSqlSafe(self.names.render(LACKING));
        sqlx::query_as(sql).fetch_one(&self.pool).await
    }

    /// The same queue, without what is lacking.
    pub fn without(self, lacking: Lacking) -> Queue {
        Queue { sql: Arc::new(Statements::render(&self.names, lacking)), ..self }
    }
}
