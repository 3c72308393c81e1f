//! Passwords: compared in a time that tells nothing, and hashed by one thread at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::Argon2;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _, phc};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tokio::sync::Semaphore;

/// Logins that wait for their turn. Whoever comes then is asked to come again.
const MAX_WAITING: usize = 32;
/// The longest password that is looked at.
pub(super) const MAX_PASSWORD: usize = 1024;
/// Memory of one hash, in KiB. The default is 19 MiB.
const MAX_MEMORY_KIB: u32 = 256 << 10;
/// Passes over that memory.
const MAX_PASSES: u32 = 16;

/// A checked Argon2 hash, in the PHC format.
#[derive(Clone, PartialEq, Eq)]
pub struct PasswordHash(Arc<str>);

impl std::fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordHash(..)")
    }
}

impl PasswordHash {
    /// Check the text of a hash.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn new(text: &str) -> Result<PasswordHash, String> {
        let remedy = "make one with `pgq-host web --hash-password`";
        let hash = phc::PasswordHash::new(text).map_err(|error| format!("it is no hash ({error}); {remedy}"))?;
        let costs = argon2::Params::try_from(&hash).map_err(|error| format!("{error}; {remedy}"))?;
        if !matches!(hash.algorithm.as_str(), "argon2id" | "argon2i" | "argon2d") || hash.hash.is_none() {
            return Err(format!("it is no Argon2 hash; {remedy}"));
        }
        if costs.m_cost() > MAX_MEMORY_KIB || costs.t_cost() > MAX_PASSES {
            return Err(format!(
                "a login would take more than {} MiB or {MAX_PASSES} passes; {remedy}",
                MAX_MEMORY_KIB >> 10
            ));
        }
        Ok(PasswordHash(text.into()))
    }

    /// Of a password that is known as it is. All are compared in the same way.
    ///
    /// # Errors
    ///
    /// Fails if there is no memory for it.
    pub fn of(password: &str) -> Result<PasswordHash, String> {
        let hash = Argon2::default().hash_password(password.as_bytes()).map_err(|error| error.to_string())?;
        Ok(PasswordHash(phc::PasswordHash::to_string(&hash).into()))
    }

    /// Whether it is the hash of this password. Takes tens of milliseconds and megabytes.
    fn is_of(&self, password: &str) -> bool {
        phc::PasswordHash::new(&self.0)
            .is_ok_and(|hash| Argon2::default().verify_password(password.as_bytes(), &hash).is_ok())
    }
}

/// The Argon2id hash of a password, with a salt of its own.
///
/// # Errors
///
/// Fails if the password is too short or too long to be one.
pub fn hash_password(password: &str) -> Result<String, String> {
    if password.len() < 8 || password.len() > MAX_PASSWORD {
        return Err(format!("a password has 8 to {MAX_PASSWORD} bytes, and this one has {}", password.len()));
    }
    PasswordHash::of(password).map(|hash| hash.0.to_string())
}

/// A digest, so that what is compared has one length and no beginning that could be guessed.
pub(super) fn digest(key: &[u8; 32], text: &str) -> [u8; 32] {
    Sha256::new().chain_update(key).chain_update(text).finalize().into()
}

/// Compare two digests in a time that does not depend on them.
pub(super) fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.ct_eq(other).into()
}

/// Too many wait already.
#[derive(Debug)]
pub(super) struct Busy;

/// Compares passwords, one at a time: a flood of logins costs one thread and the memory of one hash.
#[derive(Debug)]
pub(super) struct Verifier {
    turn: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// What a password is compared with where there is no such user, so that the time tells nothing.
    nobody: PasswordHash,
}

impl Verifier {
    /// `like`: a hash of a user, whose costs `nobody` has as well.
    pub(super) fn new(like: Option<&PasswordHash>) -> Verifier {
        let nobody = like.cloned().unwrap_or_else(|| PasswordHash(Arc::from(NOBODY)));
        Verifier { turn: Arc::new(Semaphore::new(1)), waiting: AtomicUsize::new(0), nobody }
    }

    /// Whether it is the password of this hash, or of nobody.
    pub(super) async fn verify(&self, hash: Option<&PasswordHash>, password: &str) -> Result<bool, Busy> {
        let _waiting = Waiting::new(&self.waiting)?;
        let turn = Arc::clone(&self.turn).acquire_owned().await.map_err(|_| Busy)?;
        let is_somebody = hash.is_some();
        let (hash, password) = (hash.unwrap_or(&self.nobody).clone(), password.to_owned());
        let verified = tokio::task::spawn_blocking(move || {
            // Held to the end, also if whoever asked has gone.
            let _turn = turn;
            hash.is_of(&password)
        });
        Ok(verified.await.unwrap_or(false) && is_somebody)
    }
}

/// A hash with the default costs that nobody has the password of.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyBpdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A place among those that wait.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn new(count: &AtomicUsize) -> Result<Waiting<'_>, Busy> {
        let waiting = Waiting(count);
        // Dropped, and uncounted, if there are too many.
        if count.fetch_add(1, Ordering::Relaxed) < MAX_WAITING { Ok(waiting) } else { Err(Busy) }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_that_of_its_hash_and_of_no_other() {
        let text = hash_password("correct horse").expect("a hash");
        assert_ne!(text, hash_password("correct horse").expect("a hash"), "each has a salt of its own");
        let hash = PasswordHash::new(&text).expect("valid");
        let verifier = Verifier::new(None);
        assert!(verifier.verify(Some(&hash), "correct horse").await.expect("not busy"));
        assert!(!verifier.verify(Some(&hash), "correct house").await.expect("not busy"));
        assert!(!verifier.verify(None, "correct horse").await.expect("not busy"));
        assert!(!Verifier::new(Some(&hash)).verify(None, "correct horse").await.expect("not busy"), "nobody logs in");
        assert!(PasswordHash::new(NOBODY).is_ok(), "it costs what others cost");
    }

    #[test]
    fn what_is_no_hash_or_too_costly_is_refused_with_the_remedy() {
        let costly = NOBODY.replace("m=19456", "m=1048576");
        for bad in ["", "secret", "$2b$10$abcdefghijklmnopqrstuv", &costly, "$argon2id$v=19$m=19456,t=2,p=1"] {
            assert!(PasswordHash::new(bad).expect_err(bad).contains("--hash-password"), "{bad}");
        }
        assert!(hash_password("short").is_err());
    }

    #[tokio::test]
    async fn logins_beyond_those_that_may_wait_are_told_to_come_again() {
        let verifier = Verifier::new(None);
        let _turn = verifier.turn.acquire().await.expect("free");
        let mut waiting: Vec<_> = (0..MAX_WAITING).map(|_| Box::pin(verifier.verify(None, "x"))).collect();
        for login in &mut waiting {
            assert!(futures_util::poll!(login).is_pending());
        }
        assert!(verifier.verify(None, "x").await.is_err());
        drop(waiting);
        assert_eq!(verifier.waiting.load(Ordering::Relaxed), 0);
    }
}
