//! Names that a plugin may have: those accepted by both the plugin registry and cargo.

use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

/// The limit in the plugin contract.
const MAX_BYTES: usize = 64;

/// Names that cargo rejects for a crate: Rust's keywords, crates that come with Rust, and the
/// plugin's own dependencies.
const RESERVED: [&str; 59] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "pgq-plugin-sdk",
    "priv",
    "proc-macro",
    "pub",
    "ref",
    "return",
    "self",
    "serde",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "pgq_plugin_sdk",
];

/// Why a name is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The contract does not allow it.
    #[error("{0:?} is not made of a-z, 0-9, `-` and `_` (64 at most, the first a letter); try one like `send-mail`")]
    Invalid(String),
    /// Cargo would not build it.
    #[error("{0:?} cannot be a crate's name because Rust or the SDK already uses it; try one like `{0}-job`")]
    Reserved(String),
}

/// A name that both accept.
#[derive(Debug, Clone)]
pub struct PluginName(String);

impl PluginName {
    /// Cargo's file name for the component.
    pub fn file(&self) -> String {
        format!("{}.wasm", self.replace('-', "_"))
    }
}

impl FromStr for PluginName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<PluginName, NameError> {
        // A plugin's name may start with a digit, but a crate's may not.
        let letters = text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
        if !letters || text.len() > MAX_BYTES || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(NameError::Invalid(text.to_owned()));
        }
        if RESERVED.contains(&text) {
            return Err(NameError::Reserved(text.to_owned()));
        }
        Ok(PluginName(text.to_owned()))
    }
}

impl Deref for PluginName {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PluginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_that_registry_and_cargo_accept() {
        for good in ["a", "send-mail", "send_mail", "x2"] {
            assert_eq!(&*good.parse::<PluginName>().expect("a name"), good);
        }
        let long = "a".repeat(65);
        for bad in ["", "Send", "2x", "-x", "_x", "a b", "a/b", "..", "ä", &long] {
            assert!(
                bad.parse::<PluginName>().is_err_and(|error| error.to_string().contains(&format!("{bad:?}"))),
                "{bad}"
            );
        }
        for taken in ["test", "fn", "serde"] {
            assert_eq!(taken.parse::<PluginName>().expect_err("taken"), NameError::Reserved(taken.into()));
        }
    }
}
