//! The tokens of a statement, as PostgreSQL reads them: what is a value, and what is not.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token<'t> {
    /// A keyword or a name.
    Word(&'t str),
    /// A value.
    Literal,
    /// Anything else, such as an operator.
    Sign(&'t str),
}

/// The tokens of a statement, each with whether space comes before it. What never ends is a literal,
/// so that a value is never shown.
pub(crate) fn tokens(statement: &str) -> Vec<(bool, Token<'_>)> {
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
