//! How much a registry may answer, and for how long.

use std::time::Duration;

/// What other clients and registries accept, too.
pub(super) const MANIFEST_BYTES: u64 = 4 << 20;
/// Tokens and the text of errors.
pub(super) const ANSWER_BYTES: u64 = 256 << 10;
/// The document that a signature signs.
pub(super) const PAYLOAD_BYTES: u64 = 64 << 10;
/// Signatures of one manifest.
pub(super) const SIGNATURES: usize = 16;

pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Without a byte.
pub(super) const READ: Duration = Duration::from_secs(30);
/// A request for something small, from its first to its last byte.
pub(super) const SMALL: Duration = Duration::from_secs(30);
/// A component.
pub(super) const LARGE: Duration = Duration::from_secs(600);
/// A helper that hands out credentials may ask somebody.
pub(super) const HELPER: Duration = Duration::from_secs(30);
pub(super) const REDIRECTS: usize = 3;
