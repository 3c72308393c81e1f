//! A statement as a trace may show it: its text without values, comments and line breaks, and its
//! summary.

use super::statement_tokens::{Token, tokens};

/// The most bytes of the text that is shown.
const MAX_BYTES: usize = 2 << 10;
const MAX_NAME_BYTES: usize = 63;

/// What is shown of a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    /// Each literal is `?`; placeholders like `$1` are kept.
    pub(crate) text: String,
    /// The first word, in capitals: `SELECT`.
    pub(crate) operation: String,
    /// The operation and the table that comes first: `SELECT accounts`.
    pub(crate) summary: String,
}

/// Make it fit to be shown. `is_cut`: the text goes on, and its last token may be half of a value.
pub(crate) fn shown(statement: &str, is_cut: bool) -> Shown {
    let mut tokens = tokens(statement);
    if is_cut {
        tokens.pop();
    }
    let words = |at: usize| match tokens.get(at) {
        Some((_, Token::Word(word))) => Some(*word),
        _ => None,
    };
    let operation: String =
        (0..tokens.len()).find_map(words).unwrap_or_default().chars().take(30).collect::<String>().to_uppercase();
    let marker = match operation.as_str() {
        "SELECT" | "DELETE" | "TABLE" => "from",
        "INSERT" | "MERGE" => "into",
        "UPDATE" => "update",
        "CALL" => "call",
        _ => "",
    };
    let place = (0..tokens.len())
        .find(|at| !marker.is_empty() && words(*at).is_some_and(|word| word.eq_ignore_ascii_case(marker)));
    let target = place.map(|place| name_at(&tokens, place + 1)).unwrap_or_default();
    let summary = match (operation.as_str(), target.as_str()) {
        ("", _) => "statement".to_owned(),
        (operation, "") => operation.to_owned(),
        (operation, target) => format!("{operation} {target}"),
    };
    Shown { text: text(&tokens, is_cut), operation, summary }
}

/// The name that begins there, with its schema.
fn name_at(tokens: &[(bool, Token<'_>)], mut at: usize) -> String {
    let mut name = String::new();
    if let Some((_, Token::Word(word))) = tokens.get(at)
        && word.eq_ignore_ascii_case("only")
    {
        at += 1;
    }
    while let Some((_, Token::Word(word))) = tokens.get(at) {
        name.push_str(word);
        match tokens.get(at + 1) {
            Some((_, Token::Sign("."))) => name.push('.'),
            _ => break,
        }
        at += 2;
    }
    name.truncate(name.floor_char_boundary(MAX_NAME_BYTES));
    name
}

/// One blank where there was space between tokens, and lists of values as one.
fn text(tokens: &[(bool, Token<'_>)], is_cut: bool) -> String {
    let mut text = String::new();
    let mut at = 0;
    while let Some((is_apart, token)) = tokens.get(at) {
        if *is_apart && !text.is_empty() {
            text.push(' ');
        }
        match token {
            Token::Word(word) | Token::Sign(word) => text.push_str(word),
            Token::Literal => {
                text.push('?');
                // A list of any length is the same statement.
                while let Some([(_, Token::Sign(",")), (_, Token::Literal)]) = tokens.get(at + 1..at + 3) {
                    at += 2;
                }
            }
        }
        at += 1;
        if text.len() > MAX_BYTES {
            text.truncate(text.floor_char_boundary(MAX_BYTES));
            return text + "...";
        }
    }
    if is_cut { text + "..." } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_never_shown() {
        for (statement, text) in [
            (
                "SELECT * FROM users WHERE name = 'o''secret' AND id = 42",
                "SELECT * FROM users WHERE name = ? AND id = ?",
            ),
            ("select e'a\\'secret', E'x', b'1', x'ff', n'secret', U&'secret' ", "select ?"),
            ("SELECT $tag$ secret $tag$, $$ secret $$, $1, $12::int", "SELECT ?, $1, $12::int"),
            ("SELECT 1.5e-10, .5, 0xff, 1_000, -3", "SELECT ?, -?"),
            (
                "SELECT a1, \"a 1\", t.\"b\"\"c\" -- secret\n FROM t /* secret /* nested */ secret */;",
                "SELECT a1, \"a 1\", t.\"b\"\"c\" FROM t ;",
            ),
            ("INSERT INTO t VALUES (1, 'a'), (2, 'b')", "INSERT INTO t VALUES (?), (?)"),
            ("SELECT 'secret that never ends", "SELECT ?"),
            ("SELECT $a$ secret $b$", "SELECT ?"),
            ("SELECT /* secret", "SELECT"),
            ("SELECT\n\t1 ::int\r\n  AS  x", "SELECT ? ::int AS x"),
            ("", ""),
        ] {
            let shown = shown(statement, false);
            assert_eq!(shown.text, text, "{statement}");
            assert!(!shown.text.contains("secret") || statement.contains("secret\"\""), "{statement}");
        }
    }

    #[test]
    fn half_of_a_value_is_not_shown_either() {
        assert_eq!(shown("SELECT 1 WHERE a = sec", true).text, "SELECT ? WHERE a =...");
        assert_eq!(shown("SELECT 1 WHERE a = 'sec", true).text, "SELECT ? WHERE a =...");
        let long = format!("SELECT {} FROM t", "a, ".repeat(2_000));
        let text = shown(&long, false).text;
        assert!(text.len() < MAX_BYTES + 4 && text.ends_with("..."));
    }

    #[test]
    fn no_mix_of_quotes_and_comments_shows_a_value_or_ends_the_program() {
        let (open, pieces) = (
            [
                "'s3cret'",
                "e's3\\'cret s3cret'",
                "$a$ s3cret $a$",
                "/* s3cret /* */ s3cret */",
                "-- s3cret\n",
                "'it''s s3cret'",
                "$$s3cret$$",
            ],
            [
                "select ",
                "from t ",
                ", ",
                "(",
                ")",
                "$1 ",
                "\"a\"\"b\" ",
                " 1.5e3 ",
                ":: int ",
                ";",
                "ä ",
                " e ",
                " = ",
                "a.b ",
            ],
        );
        let signs: Vec<char> = "'\"$-/*\\eE.0a \n&uU;é".chars().collect();
        let mut random = fastrand::Rng::with_seed(7);
        for _ in 0..20_000 {
            let mut statement = String::new();
            for _ in 0..random.usize(1..12) {
                statement.push_str(random.choice(pieces).unwrap_or_default());
                // Apart, because a letter before a quote makes another literal of it.
                statement.push(' ');
                statement.push_str(random.choice(open).unwrap_or_default());
                statement.push(' ');
            }
            let whole = shown(&statement, false);
            assert!(!whole.text.contains("s3cret") && !whole.summary.contains("s3cret"), "{statement:?}: {whole:?}");
            let end = statement.floor_char_boundary(random.usize(0..statement.len()));
            let cut = shown(&statement[..end], true);
            assert!(
                !cut.text.contains("s3cret") && !cut.summary.contains("s3cret"),
                "{:?}: {cut:?}",
                &statement[..end]
            );
            // Whatever it is, it ends.
            let noise: String = (0..random.usize(0..40)).map(|_| signs[random.usize(0..signs.len())]).collect();
            let _ = shown(&noise, random.bool());
        }
    }

    #[test]
    fn a_summary_has_few_forms() {
        for (statement, summary) in [
            ("select a from only app.accounts where b = 'x from y'", "SELECT app.accounts"),
            ("INSERT INTO \"Odd\".t (a) SELECT 1", "INSERT \"Odd\".t"),
            ("update accounts set a = 1", "UPDATE accounts"),
            ("DELETE FROM t", "DELETE t"),
            ("WITH a AS (SELECT 1) SELECT * FROM a", "WITH"),
            ("select 1", "SELECT"),
            ("(select 1)", "SELECT"),
            ("'only a value'", "statement"),
            ("", "statement"),
        ] {
            assert_eq!(shown(statement, false).summary, summary, "{statement}");
        }
    }
}
