//! Names and passwords that were right a moment ago. Basic authentication sends both with each
//! request, and to hash each would cost more than the answer.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

const FOR: Duration = Duration::from_secs(300);
const MOST: usize = 256;

/// Known by a digest of both.
#[derive(Debug, Default)]
pub(super) struct Remembered(Mutex<HashMap<[u8; 32], Instant>>);

impl Remembered {
    pub(super) fn has(&self, digest: &[u8; 32]) -> bool {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(digest).is_some_and(|since| since.elapsed() < FOR)
    }

    pub(super) fn add(&self, digest: [u8; 32]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, since| since.elapsed() < FOR);
        }
        if all.len() < MOST {
            all.insert(digest, Instant::now());
        }
    }
}
