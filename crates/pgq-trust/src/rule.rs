//! What an operator asks of a plugin's signatures.

use semver::Version;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule {
    /// The names of the keys of which one must have signed it. `None` means any known key.
    pub signers: Option<Vec<String>>,
    /// Whether it may be unsigned.
    pub unsigned: bool,
    /// The least version that it may declare: what is older was signed once, and is not wanted now.
    pub minimum: Option<Version>,
}
