//! Sealed payloads: where this host's keys come from, which of them seals, what must be sealed, and
//! jobs that wait for a key.

mod keyring;
mod rule;
mod settings;
mod source;
mod waits;

pub use keyring::Keyring;
pub use rule::{Seal, SealRule, SealRules};
pub use settings::SealingSettings;
pub use source::{Source, read as read_keys_file};
