//! A key that signed a version of a plugin, as hosts noted it.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

/// A key that signed a version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
pub struct SignerLook {
    /// Its name on the host that found it first.
    pub key: String,
    /// The SHA-256 of the public key, in hexadecimal digits.
    pub fingerprint: String,
}

impl SignerLook {
    /// Those of a column, by name. None where no host found any, or where hosts of an earlier release
    /// did not say.
    pub(super) fn all(column: Option<&str>) -> Vec<SignerLook> {
        let Some(Ok(Value::Object(names))) = column.map(serde_json::from_str) else { return Vec::new() };
        let signer =
            |(fingerprint, name): (String, Value)| Some(SignerLook { key: name.as_str()?.to_owned(), fingerprint });
        let mut signers: Vec<SignerLook> = names.into_iter().filter_map(signer).collect();
        signers.sort();
        signers
    }

    /// All of them in a line, and nothing if there are none.
    pub fn list(signers: &[SignerLook]) -> String {
        signers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for SignerLook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let short: String = self.fingerprint.chars().take(12).collect();
        write!(f, "{} ({short})", self.key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_hosts_noted_is_read_by_name_and_anything_else_is_nobody() {
        let column = r#"{"2f00000000000000ff": "release", "1e00000000000000ff": "ci", "x": 1}"#;
        assert_eq!(SignerLook::list(&SignerLook::all(Some(column))), "ci (1e0000000000), release (2f0000000000)");
        for column in [None, Some("{}"), Some("null"), Some("[1]"), Some("{")] {
            assert!(SignerLook::all(column).is_empty(), "{column:?}");
        }
    }
}
