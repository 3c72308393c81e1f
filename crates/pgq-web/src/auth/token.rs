//! Tokens of programs, which they send with each request: `Authorization: Bearer TOKEN`.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::password::{digest, same};
use super::random::random;
use crate::visitor::Role;

/// Shorter ones could be guessed.
const MIN_TOKEN: usize = 20;

/// The tokens of a file. Only digests are kept of them.
#[derive(Clone)]
pub(super) struct Tokens {
    key: [u8; 32],
    all: Vec<Token>,
}

/// A token, without what it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    digest: [u8; 32],
}

impl Default for Tokens {
    fn default() -> Tokens {
        Tokens { key: random(), all: Vec::new() }
    }
}

impl std::fmt::Debug for Tokens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.all.iter().map(|token| &token.name)).finish()
    }
}

impl Tokens {
    /// Read the lines of a token file: `NAME ROLE TOKEN`, or a token alone, which is an operator's.
    /// Empty lines and those that begin with `#` are skipped.
    ///
    /// # Errors
    ///
    /// Names the lines that are wrong, without what is in them.
    pub(super) fn parse(text: &str) -> Result<Tokens, String> {
        Tokens::default().again(text)
    }

    /// Read other lines, so that a token that is in both is known to be the same.
    pub(super) fn again(&self, text: &str) -> Result<Tokens, String> {
        let (mut tokens, mut names, mut mistakes) =
            (Tokens { key: self.key, all: Vec::new() }, BTreeSet::new(), Vec::new());
        for (number, line) in (1..).zip(text.lines()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let (name, role, token) = match words[..] {
                [] => continue,
                [first, ..] if first.starts_with('#') => continue,
                [token] => ("token", Ok(Role::Operator), token),
                [name, role, token] => (name, role.parse::<Role>(), token),
                _ => {
                    mistakes.push(format!("line {number} is neither `NAME ROLE TOKEN` nor a token alone"));
                    continue;
                }
            };
            match role {
                Ok(_) if token.len() < MIN_TOKEN => mistakes.push(format!(
                    "the token in line {number} has fewer than {MIN_TOKEN} characters; make one with `pgq-host web --new-token`"
                )),
                Ok(_) if !names.insert(name) => mistakes.push(format!("line {number}: there is a {name:?} already")),
                Ok(role) => {
                    let digest = digest(&tokens.key, token);
                    tokens.all.push(Token { name: name.into(), role, digest });
                }
                Err(mistake) => mistakes.push(format!("line {number}: {mistake}")),
            }
        }
        if mistakes.is_empty() { Ok(tokens) } else { Err(mistakes.join("\n")) }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether it is still there, for the same name and role.
    pub(super) fn has(&self, token: &Token) -> bool {
        self.all.contains(token)
    }

    /// Whose it is. Takes the same time for each token that is sent: all are compared.
    pub(super) fn whose(&self, token: &str) -> Option<&Token> {
        let sent = digest(&self.key, token);
        self.all.iter().fold(None, |found, token| if same(&token.digest, &sent) { Some(token) } else { found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "0123456789abcdefghijklmnop";

    #[test]
    fn a_line_is_a_token_with_its_name_and_role() {
        let text = format!("# of the team\n\n  ci viewer {LONG}\n{LONG}2\n");
        let tokens = Tokens::parse(&text).expect("valid");
        let whose = |token: &str| tokens.whose(token).map(|token| (&*token.name, token.role));
        assert_eq!(whose(LONG), Some(("ci", Role::Viewer)));
        assert_eq!(whose(&format!("{LONG}2")), Some(("token", Role::Operator)));
        for wrong in ["", "0", &LONG[1..], &format!("{LONG} ")] {
            assert_eq!(whose(wrong), None);
        }
        assert!(!format!("{tokens:?}").contains(LONG));
    }

    #[test]
    fn mistakes_are_named_by_line_and_nothing_secret_is_told() {
        let text = format!("ci viewer short\nci king {LONG}\na b c d\nx viewer {LONG}\nx viewer {LONG}");
        let mistakes = Tokens::parse(&text).expect_err("invalid");
        for part in ["line 1", "line 2: \"king\"", "line 3", "line 5: there is a \"x\" already"] {
            assert!(mistakes.contains(part), "{part} is missing in: {mistakes}");
        }
        assert!(!mistakes.contains(LONG) && !mistakes.contains("short\n"));
    }
}
