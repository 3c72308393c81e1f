//! The file of tokens, read again when it changes: a token that is taken out of it ends.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::token::Tokens;

/// A change is seen by the first request after this time.
const LOOK: Duration = Duration::from_secs(1);
/// Nobody has so many tokens.
const MOST_BYTES: u64 = 4 << 20;

/// Tokens that may change.
#[derive(Debug, Clone, Default)]
pub struct TokenFile(Option<Arc<File>>);

#[derive(Debug)]
struct File {
    path: PathBuf,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    looked: Instant,
    stamp: Option<Stamp>,
    tokens: Arc<Tokens>,
}

/// What changes with a file's content, whether it is written or replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    place: (u64, u64),
    bytes: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(data: &Metadata) -> Stamp {
        Stamp {
            place: (data.dev(), data.ino()),
            bytes: data.len(),
            written: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        }
    }
}

impl TokenFile {
    /// Read this file, now and whenever it changes.
    ///
    /// # Errors
    ///
    /// Fails if it cannot be read, if a line of it is wrong, or if it has no token.
    pub fn open(path: &Path) -> Result<TokenFile, String> {
        let unreadable = |error: String| {
            format!("the file of tokens {} cannot be read; create it, or name another: {error}", path.display())
        };
        // The stamp first: what is written in between is read again.
        let stamp = std::fs::metadata(path).map(|data| Stamp::of(&data)).ok();
        let text = read(path).map_err(unreadable)?;
        let tokens = Tokens::parse(&text)
            .map_err(|error| format!("the file of tokens {} is not valid: {error}", path.display()))?;
        if tokens.is_empty() {
            return Err(format!(
                "the file of tokens {} has none; `pgq-host web --new-token` makes one",
                path.display()
            ));
        }
        let state = Mutex::new(State { looked: Instant::now(), stamp, tokens: Arc::new(tokens) });
        Ok(TokenFile(Some(Arc::new(File { path: path.to_owned(), state }))))
    }

    /// Whether there is no such file. One that has no token any more lets nobody in.
    pub fn is_none(&self) -> bool {
        self.0.is_none()
    }

    /// The tokens as they are now.
    pub(super) fn current(&self) -> Arc<Tokens> {
        match &self.0 {
            None => Arc::default(),
            Some(file) => file.current(LOOK),
        }
    }
}

impl File {
    fn current(&self, look: Duration) -> Arc<Tokens> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.looked.elapsed() < look {
            return Arc::clone(&state.tokens);
        }
        state.looked = Instant::now();
        let stamp = std::fs::metadata(&self.path).map(|data| Stamp::of(&data)).ok();
        if stamp.is_some() && stamp == state.stamp {
            return Arc::clone(&state.tokens);
        }
        match read(&self.path).and_then(|text| state.tokens.again(&text)) {
            Ok(tokens) => {
                tracing::info!(file = %self.path.display(), tokens = tokens.len(), "read the tokens again");
                state.tokens = Arc::new(tokens);
            }
            // A volume that is gone for a moment locks nobody out, and a typing mistake does not either.
            Err(error) if state.stamp != stamp => {
                tracing::error!(file = %self.path.display(), error, "the tokens cannot be read again; those from before hold");
            }
            Err(_) => {}
        }
        state.stamp = stamp;
        Arc::clone(&state.tokens)
    }
}

fn read(path: &Path) -> Result<String, String> {
    let data = std::fs::metadata(path).map_err(|error| error.to_string())?;
    if !data.is_file() || data.len() > MOST_BYTES {
        return Err(format!("it is no file of up to {MOST_BYTES} bytes"));
    }
    std::fs::read_to_string(path).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "an-old-token-0123456789";
    const NEW: &str = "a-new-token-01234567890";

    #[test]
    fn a_token_that_is_taken_out_ends_and_a_mistake_changes_nothing() {
        let folder = std::env::temp_dir().join(format!("pgq-tokens-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let path = folder.join("tokens");
        let write = |text: &str| std::fs::write(&path, text).expect("written");
        write(&format!("ci viewer {OLD}\n"));
        let file = TokenFile::open(&path).expect("valid").0.expect("a file");
        let knows = |token: &str| file.current(Duration::ZERO).whose(token).is_some();
        assert!(knows(OLD) && !knows(NEW));
        write(&format!("ci viewer {NEW}\nother viewer {OLD}\n"));
        assert!(knows(OLD) && knows(NEW));
        write("ci king short\n");
        assert!(knows(OLD) && knows(NEW), "what was valid holds");
        std::fs::remove_file(&path).expect("removed");
        assert!(knows(NEW), "it is gone for a moment");
        write(&format!("ci viewer {NEW}\n"));
        assert!(!knows(OLD) && knows(NEW));
        write("# nobody\n");
        assert!(!knows(NEW), "an empty file lets nobody in");
        assert!(!TokenFile(Some(Arc::clone(&file))).is_none(), "and does not open the pages to everybody");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
