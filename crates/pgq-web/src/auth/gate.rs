//! Finds out who asks.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::access::Access;
use super::account::Account;
use super::credentials::Credentials;
use super::password::{Busy, MAX_PASSWORD, Verifier, digest};
use super::random::random;
use super::remembered::Remembered;
use super::sessions::{Session, Sessions};
use super::throttle::Throttle;
use super::token::{Token, Tokens};
use crate::visitor::{Role, Visitor};

/// The longest name that is looked at.
const MAX_NAME: usize = 128;

/// Somebody who may come in.
#[derive(Debug, Clone)]
pub(super) struct Admitted {
    pub(super) visitor: Visitor,
    /// What they are logged in by, if it is a session.
    pub(super) session: Option<Session>,
    /// Whether a change needs a proof that a page of ours asked for it. A token is never sent by a
    /// browser alone.
    pub(super) needs_proof: bool,
}

/// Why somebody may not.
#[derive(Debug)]
pub(super) enum Denied {
    /// They did not say who they are.
    Unknown,
    /// It is not true.
    Wrong,
    TooOften(Duration),
    Busy,
}

impl From<Busy> for Denied {
    fn from(_: Busy) -> Denied {
        Denied::Busy
    }
}

#[derive(Debug)]
pub(super) struct Gate {
    pub(super) access: Access,
    pub(super) sessions: Sessions,
    /// The name of the cookie. Ports share cookies, so it has the port in it.
    pub(super) cookie: String,
    key: [u8; 32],
    verifier: Verifier,
    remembered: Remembered,
    throttle: Throttle,
    /// The tokens that were known at the last request.
    known: Mutex<Arc<Tokens>>,
}

impl Gate {
    pub(super) fn new(access: Access, port: u16) -> Gate {
        Gate {
            sessions: Sessions::new(access.session),
            cookie: format!("pgq_host_{port}"),
            key: random(),
            verifier: Verifier::new(access.accounts.first().map(|account| &account.password)),
            remembered: Remembered::default(),
            throttle: Throttle::default(),
            known: Mutex::new(access.tokens.current()),
            access,
        }
    }

    /// Whoever brings these credentials.
    pub(super) async fn admit(&self, credentials: Credentials, address: IpAddr) -> Result<Admitted, Denied> {
        if self.access.is_open() {
            return Ok(self.without_session("local".into(), Role::Operator, true));
        }
        match credentials {
            Credentials::None => Err(Denied::Unknown),
            Credentials::Unknown => Err(Denied::Wrong),
            Credentials::Bearer(token) => {
                let tokens = self.tokens();
                let found = tokens.whose(&token).ok_or(Denied::Wrong)?;
                Ok(self.without_session(Arc::clone(&found.name), found.role, false))
            }
            Credentials::Basic { name, password } => {
                let both = self.both(&name, &password);
                let account = if self.remembered.has(&both) { self.account(&name) } else { None };
                let account = match account {
                    Some(account) => account,
                    None => self.log_in(&name, &password, address).await?,
                };
                self.remembered.add(both);
                Ok(self.without_session(account.name.as_str().into(), account.role, true))
            }
            Credentials::Sessions(keys) => {
                // Sessions of tokens that are no more end.
                let _ = self.tokens();
                let session = keys.iter().find_map(|key| self.sessions.find(key)).ok_or(Denied::Unknown)?;
                Ok(Admitted { visitor: session.visitor.clone(), session: Some(session), needs_proof: true })
            }
        }
    }

    /// The account of this name, if the password is right.
    pub(super) async fn log_in(&self, name: &str, password: &str, address: IpAddr) -> Result<&Account, Denied> {
        if name.len() > MAX_NAME || password.len() > MAX_PASSWORD {
            return Err(Denied::Wrong);
        }
        let counted = self.throttle.enter(address, digest(&self.key, name)).map_err(Denied::TooOften)?;
        let account = self.account(name);
        let verified = self.verifier.verify(account.map(|account| &account.password), password).await;
        match (verified, account) {
            (Ok(true), Some(account)) => {
                self.throttle.succeeded(&counted);
                Ok(account)
            }
            (Err(busy), _) => {
                self.throttle.forget(&counted);
                Err(busy.into())
            }
            (Ok(_), _) => {
                tracing::warn!(visitor.name = name, visitor.address = %address, "a login to the pages failed");
                Err(Denied::Wrong)
            }
        }
    }

    /// The owner of a token that was typed in.
    pub(super) fn token(&self, token: &str, address: IpAddr) -> Result<Token, Denied> {
        let counted = self.throttle.enter(address, digest(&self.key, "")).map_err(Denied::TooOften)?;
        let found = self.tokens().whose(token).cloned().ok_or(Denied::Wrong)?;
        self.throttle.forget(&counted);
        Ok(found)
    }

    /// The tokens as they are now. What began with one that is no more ends.
    fn tokens(&self) -> Arc<Tokens> {
        let tokens = self.access.tokens.current();
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&known, &tokens) {
            *known = Arc::clone(&tokens);
            drop(known);
            self.sessions.retain(|token| tokens.has(token));
        }
        tokens
    }

    fn account(&self, name: &str) -> Option<&Account> {
        self.access.accounts.iter().find(|account| account.name == name)
    }

    /// A digest of a name and a password. A name has no colon, as Basic authentication has none.
    fn both(&self, name: &str, password: &str) -> [u8; 32] {
        digest(&self.key, &format!("{name}:{password}"))
    }

    /// Somebody without a session: the proof is the same for as long as the process lives.
    fn without_session(&self, name: Arc<str>, role: Role, needs_proof: bool) -> Admitted {
        use base64::Engine as _;
        let csrf = digest(&self.key, &format!("csrf:{name}"));
        let csrf = base64::prelude::BASE64_URL_SAFE_NO_PAD.encode(csrf).into();
        Admitted { visitor: Visitor { name, role, csrf, has_session: false }, session: None, needs_proof }
    }
}
