//! A worker's statements, rendered once for the names of this deployment and for the database as it
//! is.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::SchemaFeatures;
use super::template::{self, Form};
use crate::names::Names;

/// A worker's statement, as it is written.
#[derive(Debug, Clone, Copy)]
pub struct WorkerStatement {
    pub name: &'static str,
    /// The text of its file.
    pub file: &'static str,
    /// Whether it is about jobs that are marked, or about rows that are only locked.
    marked: bool,
}

impl WorkerStatement {
    /// As it is sent, for these names.
    pub fn render(&self, names: &Names, features: SchemaFeatures) -> String {
        template::render(self.file, names, Form { features, marked: self.marked })
    }
}

macro_rules! statements {
    ($($name:ident $(= $file:ident when $locked:ident)?)*) => {
        /// One field for each file of `sql/worker`, and for each that is about locked rows as well.
        #[derive(Debug)]
        pub(super) struct Statements {
            $(pub(super) $name: SqlStr,)*
            /// Statements about what the database has not are not to be used.
            pub(super) features: SchemaFeatures,
        }

        impl Statements {
            pub(super) fn render(names: &Names, features: SchemaFeatures) -> Statements {
                let mut statements = WORKER_STATEMENTS.iter();
                let mut next = || {
                    let sql = statements.next().map(|statement| statement.render(names, features));
                    AssertSqlSafe(sql.unwrap_or_default()).into_sql_str()
                };
                Statements { $($name: next(),)* features }
            }
        }

        /// All of them, as they are written.
        pub const WORKER_STATEMENTS: &[WorkerStatement] = &[$(statement!($name $($file $locked)?),)*];
    };
}

macro_rules! statement {
    ($name:ident) => {
        WorkerStatement {
            name: stringify!($name),
            file: include_str!(concat!("sql/worker/", stringify!($name), ".sql")),
            marked: true,
        }
    };
    ($name:ident $file:ident locked) => {
        WorkerStatement {
            name: stringify!($name),
            file: include_str!(concat!("sql/worker/", stringify!($file), ".sql")),
            marked: false,
        }
    };
}

statements! {
    claim
    claim_many
    claim_from_cursor
    lock = claim when locked
    lock_many = claim_many when locked
    lock_from_cursor = claim_from_cursor when locked
    relock
    mark
    claim_limited
    read_body
    read_body_as_stored
    next_due
    has_work
    count_left
    renew_leases
    begin_suspect
    finish
    finish_with_extras
    put_back
    finish_locked = finish when locked
    finish_locked_with_extras = finish_with_extras when locked
    put_back_locked = put_back when locked
    hand_over
    find_expired
    rescue_expired
    rescue_from_worker
    find_gone_workers
    any_gone
    note_death
    forget_worker
    clear_suspects
    prune_suspects
    prune_lines
    fold_from
    new_failures
    known_causes
    fold_causes
    fold_to
    forget_causes
    aggregate
    prune_turn
    end_prune_turn
    begin_walk
    walk_position
    judge_log
    prune_log
    judge_outputs
    prune_outputs
    judge_statistics
    prune_statistics
    judge_attempts
    prune_attempts
    depth
    queue_health
    logs_count
    announce
    withdraw
    note_signers
    note_refusals
    fleet_files
    verdicts
    record_verdicts
    pauses
    enqueue
    enqueue_or_skip
    enqueue_or_raise_priority
    schedules
    add_schedules
    fire_schedules
    move_schedules_back
    schema_features
    handler_role
    handler_commit
    end_handler
    cancelled
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameSettings;

    const FEATURES: u32 = 17;

    #[test]
    fn every_statement_can_be_rendered_for_every_database() {
        let settings = NameSettings { prefix: Some("p_".into()), schema: Some("jobs".into()) };
        let names = Names::new(&settings, |_| None).expect("valid names");
        // All, none, and up to two that are missing or there alone.
        let pairs = (0..FEATURES).flat_map(|one| (0..FEATURES).map(move |other| 1_u32 << one | 1 << other));
        for bits in pairs.flat_map(|bits| [bits, !bits]).chain([0, u32::MAX]) {
            let has = |bit: u32| bits & (1 << bit) != 0;
            let features = SchemaFeatures {
                attempts: has(0),
                tally: has(1),
                hosts: has(2),
                presence: has(3),
                suspects: has(4),
                verdicts: has(5),
                deaths: has(6),
                retention: has(7),
                figures: has(8),
                lines: has(9),
                pauses: has(10),
                audit: has(11),
                handlers: has(12),
                follow_ups: has(13),
                adjustments: has(14),
                causes: has(15),
                signers: has(16),
            };
            let sql = format!("{:?}", Statements::render(&names, features));
            assert!(!sql.contains("/*") && !sql.contains("--"), "a marker or a comment is left over");
        }
    }

    #[test]
    fn a_byte_that_is_not_counted_here_is_not_counted_there() {
        for name in ["claim", "claim_limited", "hand_over"] {
            assert!(file(name).contains(&format!("bytes > {} ", crate::byte_budget::UNCOUNTED)), "{name}");
        }
    }

    fn file(name: &str) -> &'static str {
        WORKER_STATEMENTS.iter().find(|statement| statement.name == name).expect("a statement").file
    }

    /// Parts that several statements have are written out in each of them.
    #[test]
    fn what_is_written_more_than_once_is_the_same() {
        let part = |name: &str, cte: &str| {
            let file = file(name);
            let begin = file.find(&format!("{cte} AS ")).unwrap_or_else(|| panic!("{name} has no {cte}"));
            let end = file[begin..].find("\n)").expect("its end");
            // The parameters have other numbers.
            file[begin..begin + end]
                .split('$')
                .map(|text| text.trim_start_matches(|c: char| c.is_ascii_digit()))
                .collect::<Vec<_>>()
                .join("$")
        };
        let claims = ["claim", "claim_many", "claim_from_cursor", "claim_limited", "hand_over"];
        for cte in ["fit", "claim_tallied", "job"] {
            claims.iter().for_each(|name| assert_eq!(part(name, cte), part("claim", cte), "{cte} of {name}"));
        }
        for cte in ["few", "assigned"] {
            assert_eq!(part("claim_limited", cte), part("hand_over", cte), "{cte}");
        }
        let extras =
            ["done", "ours", "tallied", "kept", "wanted", "new", "new_logged", "placed", "attempted", "printed"];
        for cte in extras {
            assert_eq!(part("finish_with_extras", cte), part("hand_over", cte), "{cte}");
        }
        assert_eq!(part("put_back", "tallied"), part("finish_with_extras", "tallied"), "what is counted of an outcome");
        for cte in ["judged", "suspected", "kept", "gone", "touched"] {
            assert_eq!(part("rescue_expired", cte), part("rescue_from_worker", cte), "{cte}");
        }
    }
}
