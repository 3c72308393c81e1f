//! Which statements a handler may run, by their first word.
//!
//! This is no boundary: the server takes one statement at a time in the extended protocol, a
//! transaction block cannot be ended from inside of a function, and an outcome needs its own
//! transaction. It says early, and in words, what would fail or be undone anyway.

/// What a handler may begin a statement with.
const ALLOWED: &[&str] = &[
    "select", "insert", "update", "delete", "merge", "with", "values", "table", "call", "do", "explain", "create",
    "alter", "drop", "truncate", "analyze", "refresh", "comment", "grant", "revoke", "lock", "show",
];

/// Words that are refused, with the reason.
const REASONS: &[(&[&str], &str)] = &[
    (
        &["begin", "start", "commit", "end", "rollback", "abort", "prepare"],
        "the transaction is the host's: it is committed with the outcome of the run, and rolled back if the run fails",
    ),
    (&["savepoint", "release"], "use `savepoint` of pgq:plugin/sql, which knows when it is left open"),
    (&["set", "reset", "discard", "load"], "the session is the host's, and its settings end with the run"),
    (&["copy"], "rows go through parameters and cursors; insert many at once with unnest($1, $2)"),
    (&["listen", "unlisten", "notify"], "nobody hears a handler's session; a follow-up job wakes whoever waits for it"),
    (&["declare", "fetch", "move", "close"], "`query` returns a cursor, which reads some rows at a time"),
    (&["execute", "deallocate"], "statements are prepared by the host"),
];

/// The reason why this statement is refused, if it is.
pub fn refused(statement: &str) -> Option<String> {
    let word = first_word(statement);
    if ALLOWED.contains(&&*word) {
        return None;
    }
    let reason = REASONS.iter().find(|(words, _)| words.contains(&&*word)).map(|(_, reason)| *reason);
    let shown: String = word.chars().take(30).collect::<String>().to_uppercase();
    Some(match (reason, shown.is_empty()) {
        (Some(reason), _) => format!("{shown} is refused: {reason}"),
        (None, true) => "there is no statement in it".to_owned(),
        (None, false) => format!("{shown} is no statement for handlers"),
    })
}

/// What the statement is counted as. One of a few words.
pub fn kind(statement: &str) -> &'static str {
    let word = first_word(statement);
    match ALLOWED.iter().find(|allowed| **allowed == word) {
        Some(&word @ ("select" | "insert" | "update" | "delete" | "merge" | "with")) => word,
        _ => "other",
    }
}

/// The first word in lower case, behind blanks, comments and brackets. Empty if there is none.
fn first_word(statement: &str) -> String {
    let mut rest = statement;
    loop {
        rest = rest.trim_start_matches(|c: char| c.is_whitespace() || c == '(' || c == '\u{feff}');
        if let Some(after) = rest.strip_prefix("--") {
            rest = after.find(['\n', '\r']).map_or("", |end| &after[end..]);
        } else if rest.starts_with("/*") {
            rest = behind_comment(rest);
        } else {
            let is_word = |c: char| c.is_alphanumeric() || c == '_';
            let end = rest.find(|c: char| !is_word(c)).unwrap_or(rest.len());
            return rest[..end].chars().take(30).collect::<String>().to_lowercase();
        }
    }
}

/// Comments nest in PostgreSQL. One that does not end is the rest of the statement.
fn behind_comment(text: &str) -> &str {
    let (mut depth, mut rest) = (0_u32, text);
    loop {
        let Some(at) = rest.find(['/', '*']) else { return "" };
        rest = &rest[at..];
        if let Some(after) = rest.strip_prefix("/*") {
            (depth, rest) = (depth + 1, after);
        } else if let Some(after) = rest.strip_prefix("*/") {
            (depth, rest) = (depth - 1, after);
            if depth == 0 {
                return rest;
            }
        } else {
            rest = &rest[1..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ends_the_transaction_or_changes_the_session_is_refused_however_it_is_written() {
        for statement in [
            "COMMIT",
            "  commit;",
            "/* a /* nested */ comment */ Rollback",
            "-- a comment\nEND",
            "-- a comment\rEND",
            "SET ROLE postgres",
            "reset role",
            "SAVEPOINT a",
            "prepare transaction 'x'",
            "COPY t TO PROGRAM 'id'",
            "listen ch",
            "DISCARD ALL",
            "((commit",
            "",
            "  -- nothing",
            "/* /* never closed",
            ";commit",
        ] {
            assert!(refused(statement).is_some(), "{statement}");
        }
        assert!(refused("COMMIT").unwrap_or_default().contains("committed with the outcome"));
    }

    #[test]
    fn what_works_with_rows_is_taken() {
        for statement in [
            "select 1",
            "(SELECT 1) UNION (SELECT 2)",
            "/**/ with a as (select 1) select * from a",
            "DO $$ begin end $$",
        ] {
            assert_eq!(refused(statement), None, "{statement}");
        }
        assert_eq!((kind("Insert into t"), kind("truncate t")), ("insert", "other"));
    }
}
