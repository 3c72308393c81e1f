//! A worker's statements, rendered once for the names of this deployment and for the database as it
//! is.

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use super::{SchemaFeatures, template};
use crate::names::Names;

macro_rules! statements {
    ($($name:ident)*) => {
        /// One field for each file of `sql/worker`.
        #[derive(Debug)]
        pub(super) struct Statements {
            $(pub(super) $name: SqlStr,)*
            /// Statements about what the database has not are not to be used.
            pub(super) features: SchemaFeatures,
        }

        impl Statements {
            pub(super) fn render(names: &Names, features: SchemaFeatures) -> Statements {
                let render = |file: &str| AssertSqlSafe(template::render(file, names, features)).into_sql_str();
                Statements { $($name: render(include_str!(concat!("sql/worker/", stringify!($name), ".sql"))),)* features }
            }
        }

        /// Names and files of all of them, as they are written.
        pub const WORKER_STATEMENTS: &[(&str, &str)] =
            &[$((stringify!($name), include_str!(concat!("sql/worker/", stringify!($name), ".sql"))),)*];
    };
}

statements! {
    claim
    claim_many
    claim_from_cursor
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
    hand_over
    find_expired
    rescue_expired
    rescue_from_worker
    find_gone_workers
    forget_worker
    clear_suspects
    prune_suspects
    prune_attempts
    aggregate
    depth
    announce
    withdraw
    fleet_files
    verdicts
    record_verdicts
    enqueue
    enqueue_or_skip
    enqueue_or_raise_priority
    schedules
    add_schedules
    fire_schedules
    move_schedules_back
    schema_features
}

/// A worker's statement as it is sent, for these names.
pub fn worker_statement(file: &str, names: &Names, features: SchemaFeatures) -> String {
    template::render(file, names, features)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::NameSettings;

    #[test]
    fn every_statement_can_be_rendered_for_every_database() {
        let settings = NameSettings { prefix: Some("p_".into()), schema: Some("jobs".into()) };
        let names = Names::new(&settings, |_| None).expect("valid names");
        for bits in 0..64_u8 {
            let has = |bit: u8| bits & (1 << bit) != 0;
            let features = SchemaFeatures {
                attempts: has(0),
                tally: has(1),
                hosts: has(2),
                presence: has(3),
                suspects: has(4),
                verdicts: has(5),
            };
            let sql = format!("{:?}", Statements::render(&names, features));
            assert!(!sql.contains("/*") && !sql.contains("--"), "a marker or a comment is left over");
        }
    }

    #[test]
    fn a_byte_that_is_not_counted_here_is_not_counted_there() {
        for name in ["claim", "claim_limited", "hand_over"] {
            let (_, file) = WORKER_STATEMENTS.iter().find(|(known, _)| *known == name).expect("a statement");
            assert!(file.contains(&format!("bytes > {} ", crate::byte_budget::UNCOUNTED)), "{name}");
        }
    }

    /// Parts that several statements have are written out in each of them.
    #[test]
    fn what_is_written_more_than_once_is_the_same() {
        let part = |name: &str, cte: &str| {
            let (_, file) = WORKER_STATEMENTS.iter().find(|(known, _)| *known == name).expect("a statement");
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
        for cte in ["attempted"] {
            for name in ["finish_with_extras", "put_back", "hand_over"] {
                assert_eq!(part(name, cte), part("finish", cte), "{cte} of {name}");
            }
        }
        for cte in ["done", "ours", "tallied", "kept", "new", "new_logged"] {
            assert_eq!(part("finish_with_extras", cte), part("hand_over", cte), "{cte}");
        }
        for cte in ["judged", "suspected", "kept", "gone", "touched"] {
            assert_eq!(part("rescue_expired", cte), part("rescue_from_worker", cte), "{cte}");
        }
    }
}
