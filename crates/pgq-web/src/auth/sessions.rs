//! Sessions of browsers: in memory, bounded, and known by a random key of which only a digest is
//! kept.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::password::digest;
use super::random::{new_token, random};
use super::token::Token;
use crate::visitor::{Role, Visitor};

const MAX_SESSIONS: usize = 2_000;
/// Of one user. A user who logs in more often is logged out where that was longest ago.
const MAX_OF_ONE: usize = 50;

#[derive(Debug)]
pub(super) struct Sessions {
    key: [u8; 32],
    longest: Duration,
    all: Mutex<HashMap<[u8; 32], Session>>,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(super) struct Session {
    pub(super) visitor: Visitor,
    pub(super) until: Instant,
    /// The token that was typed in, if it was one.
    token: Option<Token>,
    /// Cancelled at a logout, for what is still being answered.
    pub(super) ended: CancellationToken,
}

impl Sessions {
    pub(super) fn new(longest: Duration) -> Sessions {
        Sessions { key: random(), longest, all: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn longest(&self) -> Duration {
        self.longest
    }

    /// Begin one. Returns its key, which only the browser has.
    pub(super) fn begin(&self, name: Arc<str>, role: Role, token: Option<Token>) -> String {
        let (key, now) = (new_token(), Instant::now());
        let mut all = self.lock();
        all.retain(|_, session| session.until > now);
        let of_one = all.values().filter(|session| session.visitor.name == name).count();
        let oldest = |of: Option<&str>| {
            let mine = all.iter().filter(|(_, session)| of.is_none_or(|name| &*session.visitor.name == name));
            mine.min_by_key(|(_, session)| session.until).map(|(digest, _)| *digest)
        };
        let goes = match (of_one >= MAX_OF_ONE, all.len() >= MAX_SESSIONS) {
            (true, _) => oldest(Some(&name)),
            (false, true) => oldest(None),
            (false, false) => None,
        };
        if let Some(gone) = goes.and_then(|digest| all.remove(&digest)) {
            gone.ended.cancel();
        }
        let visitor = Visitor { name, role, csrf: new_token().into(), has_session: true };
        let session = Session { visitor, until: now + self.longest, token, ended: CancellationToken::new() };
        all.insert(digest(&self.key, &key), session);
        key
    }

    /// The session of this key, if it is not over.
    pub(super) fn find(&self, key: &str) -> Option<Session> {
        self.find_at(key, Instant::now())
    }

    fn find_at(&self, key: &str, now: Instant) -> Option<Session> {
        self.lock().get(&digest(&self.key, key)).filter(|session| session.until > now).cloned()
    }

    /// End the sessions of tokens of which this does not hold.
    pub(super) fn retain(&self, holds: impl Fn(&Token) -> bool) {
        self.lock().retain(|_, session| {
            let stays = session.token.as_ref().is_none_or(&holds);
            if !stays {
                session.ended.cancel();
            }
            stays
        });
    }

    /// Log out.
    pub(super) fn end(&self, key: &str) {
        if let Some(session) = self.lock().remove(&digest(&self.key, key)) {
            session.ended.cancel();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_ends_by_itself_and_at_a_logout() {
        let sessions = Sessions::new(Duration::from_secs(60));
        let [one, other] = ["a", "b"].map(|name| sessions.begin(name.into(), Role::Viewer, None));
        assert_ne!(one, other);
        let found = sessions.find(&one).expect("it began");
        assert_eq!(&*found.visitor.name, "a");
        assert_ne!(found.visitor.csrf, sessions.find(&other).expect("it began").visitor.csrf);
        sessions.end(&one);
        assert!(sessions.find(&one).is_none() && found.ended.is_cancelled());
        let at = |seconds| sessions.find_at(&other, Instant::now() + Duration::from_secs(seconds));
        assert!(at(50).is_some() && at(61).is_none() && sessions.find("").is_none());
    }

    #[test]
    fn there_are_only_so_many_and_nobody_loses_one_to_a_user_who_has_many() {
        let sessions = Sessions::new(Duration::from_secs(600));
        let first = sessions.begin("first".into(), Role::Viewer, None);
        for _ in 0..3 * MAX_OF_ONE {
            sessions.begin("eager".into(), Role::Viewer, None);
        }
        assert_eq!(sessions.lock().len(), MAX_OF_ONE + 1);
        assert!(sessions.find(&first).is_some());
        for number in 0..2 * MAX_SESSIONS {
            sessions.begin(number.to_string().into(), Role::Viewer, None);
        }
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
    }
}
