//! A job to be enqueued, and the checks on it.

use std::time::Duration;

/// The longest delay, a thousand years, because PostgreSQL's timestamps are limited.
pub const MAX_DELAY: Duration = Duration::from_secs(1_000 * 365 * 24 * 3600);

/// A job to be enqueued, with another job's outcome or on its own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewJob {
    pub entrypoint: String,
    /// `None` is SQL NULL.
    pub payload: Option<Vec<u8>>,
    /// Higher priorities run first.
    pub priority: i32,
    /// Time from the commit until it is due.
    pub delay: Duration,
    /// At most one queued or running job has this key.
    pub dedupe_key: Option<String>,
    /// An object, or nothing.
    pub headers: Option<serde_json::Map<String, serde_json::Value>>,
}

const MAX_ENTRYPOINT_BYTES: usize = 255;
/// An index entry can have 2,704 bytes, of which 12 are its header. (Longer keys that compress well
/// would fit.)
const MAX_DEDUPE_KEY_BYTES: usize = 2_692;

impl NewJob {
    /// The size of its payload in bytes.
    pub fn bytes(&self) -> usize {
        self.payload.as_ref().map_or(0, Vec::len)
    }

    /// Reject what PostgreSQL would reject, while the caller can still react.
    ///
    /// # Errors
    ///
    /// Returns which limit is exceeded, and by how much.
    pub fn check(&self) -> Result<(), String> {
        NewJob::check_entrypoint(&self.entrypoint)?;
        self.dedupe_key.as_deref().map_or(Ok(()), NewJob::check_dedupe_key)?;
        let mut headers =
            self.headers.iter().flatten().flat_map(|(name, value)| [name.as_str(), value.as_str().unwrap_or_default()]);
        headers.try_for_each(without_nul)?;
        NewJob::check_delay(self.delay)
    }

    /// Check only the name.
    ///
    /// # Errors
    ///
    /// See [`NewJob::check`].
    pub fn check_entrypoint(name: &str) -> Result<(), String> {
        if name.is_empty() || name.len() > MAX_ENTRYPOINT_BYTES {
            return Err(format!(
                "the entrypoint's name has {} bytes; it must have 1 to {MAX_ENTRYPOINT_BYTES}",
                name.len()
            ));
        }
        without_nul(name)
    }

    /// Check only the key.
    ///
    /// # Errors
    ///
    /// See [`NewJob::check`].
    pub fn check_dedupe_key(key: &str) -> Result<(), String> {
        if key.len() > MAX_DEDUPE_KEY_BYTES {
            return Err(format!(
                "the dedupe key has {} bytes; it can have up to {MAX_DEDUPE_KEY_BYTES}: use a digest of a longer key",
                key.len()
            ));
        }
        without_nul(key)
    }

    /// Check only the delay.
    ///
    /// # Errors
    ///
    /// See [`NewJob::check`].
    pub fn check_delay(delay: Duration) -> Result<(), String> {
        if delay > MAX_DELAY {
            return Err(format!("a delay of {} s is longer than a thousand years", delay.as_secs()));
        }
        Ok(())
    }
}

fn without_nul(text: &str) -> Result<(), String> {
    if text.contains('\0') {
        return Err(
            "names, keys and headers cannot contain the character NUL, which PostgreSQL cannot store in text".into()
        );
    }
    Ok(())
}
