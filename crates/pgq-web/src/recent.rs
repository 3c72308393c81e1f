//! What was read a moment ago: however many look, the database is asked once.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use http::StatusCode;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::problem::Problem;

/// An answer that takes longer is no answer.
const WITHIN: Duration = Duration::from_secs(6);

/// The last answer to one question, and what became of the last try.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    state: Mutex<State<T>>,
}

#[derive(Debug)]
struct State<T> {
    tried: Option<Instant>,
    known: Option<(DateTime<Utc>, Arc<T>)>,
    error: Option<Arc<str>>,
}

/// What is known, which may be from before the database fell silent.
#[derive(Debug)]
pub(crate) struct Known<T> {
    /// When it was read; `None`: never.
    pub(crate) value: Option<(DateTime<Utc>, Arc<T>)>,
    /// Why it could not be read again.
    pub(crate) error: Option<Arc<str>>,
}

impl<T> Known<T> {
    /// What is known; where nothing is, why.
    pub(crate) fn or_problem(self) -> Result<Arc<T>, Problem> {
        match self.value {
            Some((_, value)) => Ok(value),
            None => {
                let error = self.error.as_deref().unwrap_or("the database does not answer");
                Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error))
            }
        }
    }
}

impl<T> Default for Recent<T> {
    fn default() -> Recent<T> {
        Recent { state: Mutex::new(State { tried: None, known: None, error: None }) }
    }
}

impl<T> Recent<T> {
    /// The answer of less than `age` ago, or else a new one. Who asks meanwhile waits for that one.
    /// A failure counts as an answer: a database that is down is not asked by everybody.
    pub(crate) async fn get(&self, age: Duration, read: impl Future<Output = sqlx::Result<T>>) -> Known<T> {
        let mut state = self.state.lock().await;
        if state.tried.is_none_or(|tried| tried.elapsed() >= age) {
            let answer = timeout(WITHIN, read).await;
            state.tried = Some(Instant::now());
            match answer {
                Ok(Ok(value)) => {
                    state.known = Some((Utc::now(), Arc::new(value)));
                    state.error = None;
                }
                Ok(Err(error)) => state.error = Some(error.to_string().into()),
                Err(_) => state.error = Some(format!("the database did not answer within {WITHIN:?}").into()),
            }
        }
        Known { value: state.known.clone(), error: state.error.clone() }
    }

    /// Ask again next time: something was changed.
    pub(crate) async fn forget(&self) {
        self.state.lock().await.tried = None;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_thousand_readers_ask_once_and_an_old_answer_outlives_a_failure() {
        let (recent, asked) = (Recent::default(), AtomicU32::new(0));
        let read = || async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            Ok(asked.fetch_add(1, Ordering::Relaxed))
        };
        let (age, anew) = (Duration::from_secs(3_600), Duration::ZERO);
        let all = (0..1_000).map(|_| recent.get(age, read()));
        for known in futures_util::future::join_all(all).await {
            assert_eq!(known.value.map(|(_, value)| *value), Some(0));
        }
        assert_eq!(asked.load(Ordering::Relaxed), 1);
        let known = recent.get(anew, async { Err(sqlx::Error::PoolTimedOut) }).await;
        assert_eq!(known.value.map(|(_, value)| *value), Some(0), "what was known");
        assert!(known.error.is_some());
        let known = recent.get(age, read()).await;
        assert!(known.error.is_some(), "the failure is an answer for as long");
        recent.forget().await;
        let known = recent.get(age, read()).await;
        assert_eq!((known.value.map(|(_, value)| *value), known.error), (Some(1), None));
    }
}
