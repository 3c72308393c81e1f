//! A statement as a trace may show it: its text without values, comments and line breaks, and its
//! summary.

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

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token<'t> {
    /// A keyword or a name.
    Word(&'t str),
    /// A value.
    Literal,
    /// Anything else, such as an operator.
    Sign(&'t str),
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

/// The tokens of a statement, each with whether space comes before it. What never ends is a literal,
/// so that a value is never shown.
fn tokens(statement: &str) -> Vec<(bool, Token<'_>)> {
    let (mut found, mut rest, mut is_apart) = (Vec::new(), statement, false);
    while let Some(first) = rest.chars().next() {
        if first.is_whitespace() || first == '\0' {
            (rest, is_apart) = (&rest[first.len_utf8()..], true);
            continue;
        }
        if rest.starts_with("--") {
            (rest, is_apart) = (rest.find(['\n', '\r']).map_or("", |end| &rest[end..]), true);
            continue;
        }
        if rest.starts_with("/*") {
            (rest, is_apart) = (&rest[comment(rest)..], true);
            continue;
        }
        let (length, kind) = token(rest, first);
        let (token, after) = rest.split_at(length);
        let token = match kind {
            Kind::Word => Token::Word(token),
            Kind::Literal => Token::Literal,
            Kind::Sign => Token::Sign(token),
        };
        found.push((is_apart, token));
        (rest, is_apart) = (after, false);
    }
    found
}

enum Kind {
    Word,
    Literal,
    Sign,
}

/// How many bytes the token has that begins here, and what it is.
fn token(rest: &str, first: char) -> (usize, Kind) {
    match first {
        '\'' => (quoted(rest, 1, false), Kind::Literal),
        '"' => (name(rest), Kind::Word),
        '$' => match dollar_quoted(rest) {
            Some(length) => (length, Kind::Literal),
            // A placeholder.
            None => (1 + rest[1..].find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len() - 1), Kind::Sign),
        },
        '0'..='9' => (number(rest), Kind::Literal),
        '.' if rest[1..].starts_with(|c: char| c.is_ascii_digit()) => (number(rest), Kind::Literal),
        c if c.is_alphabetic() || c == '_' => {
            let length = rest.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == '$')).unwrap_or(rest.len());
            let (word, after) = rest.split_at(length);
            let is_one_of = |prefixes: &[&str]| prefixes.iter().any(|prefix| word.eq_ignore_ascii_case(prefix));
            if after.starts_with('\'') && is_one_of(&["e", "b", "x", "n"]) {
                (quoted(rest, length + 1, is_one_of(&["e"])), Kind::Literal)
            } else if after.starts_with("&'") && is_one_of(&["u"]) {
                (quoted(rest, length + 2, false), Kind::Literal)
            } else {
                (length, Kind::Word)
            }
        }
        c => (c.len_utf8(), Kind::Sign),
    }
}

/// The end of a string whose text begins at `from`.
fn quoted(rest: &str, from: usize, escapes: bool) -> usize {
    let bytes = rest.as_bytes();
    let mut at = from;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if escapes => at += 1,
            b'\'' if bytes.get(at + 1) == Some(&b'\'') => at += 1,
            b'\'' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// The end of a quoted name.
fn name(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'"' if bytes.get(at + 1) == Some(&b'"') => at += 1,
            b'"' => return at + 1,
            _ => {}
        }
        at += 1;
    }
    rest.len()
}

/// The end of `$tag$ ... $tag$`, if it is one.
fn dollar_quoted(rest: &str) -> Option<usize> {
    let end = 1 + rest[1..].find('$')?;
    let tag = &rest[1..end];
    let is_tag = tag.chars().all(|c| c.is_alphanumeric() || c == '_') && !tag.starts_with(|c: char| c.is_ascii_digit());
    let mark = &rest[..=end];
    is_tag.then(|| rest[end + 1..].find(mark).map_or(rest.len(), |at| end + 1 + at + mark.len()))
}

fn number(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        let is_sign = matches!(bytes[at], b'+' | b'-') && at > 0 && matches!(bytes[at - 1], b'e' | b'E');
        if !(bytes[at].is_ascii_alphanumeric() || matches!(bytes[at], b'.' | b'_') || is_sign) {
            break;
        }
        at += 1;
    }
    at
}

/// Comments nest. One that does not end is the rest.
fn comment(rest: &str) -> usize {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0_u32, 0);
    while at < bytes.len() {
        match bytes.get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => {
                (depth, at) = (depth - 1, at + 2);
                if depth == 0 {
                    return at;
                }
            }
            _ => at += 1,
        }
    }
    rest.len()
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
