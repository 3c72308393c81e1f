//! Times that come from the tables. A `timestamptz` can be `infinity`, `-infinity`, or in a year that neither Rust's nor Python's types
//! reach. Arithmetic on such a value is an error in SQL (before PostgreSQL 17) and a panic in the driver, so no statement hands one out:
//! each reads its times through `{time:...}`.

const FIRST: &str = "timestamptz '0001-01-01 00:00:00+00'";
/// Python's last, as PgQueuer shows `infinity`.
const LAST: &str = "timestamptz '9999-12-31 23:59:59.999999+00'";

/// A statement in which each `{time:expression}` is the expression, held between the years 1 and 9999. NULL stays NULL.
pub(super) fn bounded(template: &str) -> String {
    let mut sql = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{time:") {
        // An expression has no braces.
        let (time, after) = after.split_once('}').unwrap_or((after, ""));
        sql += before;
        sql += &format!("CASE WHEN {time} < {FIRST} THEN {FIRST} WHEN {time} > {LAST} THEN {LAST} ELSE {time} END");
        rest = after;
    }
    sql + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_bounded_and_the_rest_stays() {
        let sql = bounded("SELECT {time:q.created} AS created, {queue} FROM q");
        assert!(
            sql.starts_with("SELECT CASE WHEN q.created < ") && sql.ends_with(" ELSE q.created END AS created, {queue} FROM q"),
            "{sql}"
        );
    }
}
