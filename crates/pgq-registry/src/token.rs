//! What is asked of a registry decides which token is needed, and a token is good for many requests.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use reqwest::header::HeaderValue;

/// What somebody wants to do with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    Pull,
    Push,
}

impl Action {
    pub(super) fn scope(self, repository: &str) -> String {
        match self {
            Action::Pull => format!("repository:{repository}:pull"),
            Action::Push => format!("repository:{repository}:pull,push"),
        }
    }
}

/// The headers that worked last, by registry, name and action. They are forgotten when one is refused.
#[derive(Default)]
pub(super) struct Tokens(Mutex<HashMap<(String, String, Action), HeaderValue>>);

impl Tokens {
    pub(super) fn get(&self, registry: &str, repository: &str, action: Action) -> Option<HeaderValue> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(&(registry.to_owned(), repository.to_owned(), action)).cloned()
    }

    pub(super) fn put(&self, registry: &str, repository: &str, action: Action, header: HeaderValue) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.insert((registry.to_owned(), repository.to_owned(), action), header);
    }

    pub(super) fn forget(&self, registry: &str, repository: &str, action: Action) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.remove(&(registry.to_owned(), repository.to_owned(), action));
    }
}
