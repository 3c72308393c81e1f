//! The bounds of the server.

use std::time::Duration;

/// Connections that have asked for no page yet: those of probes and scrapers, and new ones. If there
/// are more, the one that was silent for longest makes room.
pub(super) const MAX_NEWCOMERS: usize = 512;
/// A newcomer has so long before it has to: a probe sends its request at once, but a busy machine
/// does not read it at once.
pub(super) const GRACE: Duration = Duration::from_secs(1);
/// Connections with pages. If there are more, the one that was silent for longest makes room.
pub(super) const MAX_PAGES: usize = 2_500;
/// Time to send a request's head, and between two requests.
pub(super) const HEAD_TIMEOUT: Duration = Duration::from_secs(60);
/// Bytes of a request's head.
pub(super) const MAX_HEAD: usize = 16 << 10;
/// Time to send a request's body.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(30);
/// A reader takes at least [`READ_BYTES`] of what waits for it in this time.
pub(super) const READ_TIMEOUT: Duration = Duration::from_secs(20);
pub(super) const READ_BYTES: usize = 16 << 10;
/// Bytes that the system holds for a reader. It would hold megabytes.
pub(super) const SEND_BUFFER: u32 = 128 << 10;
/// Time for the rest of what is being answered at a stop.
pub(super) const STOP_TIMEOUT: Duration = Duration::from_secs(5);
