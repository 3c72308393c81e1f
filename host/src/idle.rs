//! What the claim loop waits for while there is nothing to claim. The scan of the leases asks the
//! database anyway, so it asks for this as well, and its answer is as good as a poll's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

/// Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Idle(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    answered: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Which question is open. An answer to an earlier one is older than what the claim loop knows.
    number: u64,
    entrypoints: Option<Arc<[Arc<str>]>>,
    /// Time until the next job is due; `Some(None)`: there is none.
    answer: Option<Option<Duration>>,
}

/// What is waited for, as the one who asks the database sees it.
#[derive(Debug)]
pub struct Question {
    number: u64,
    pub entrypoints: Arc<[Arc<str>]>,
}

/// The claim loop's end. Nothing is waited for once it is dropped.
#[derive(Debug)]
pub struct Waiting(Idle);

impl Idle {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait for jobs of these entrypoints.
    pub fn wait_for(&self, entrypoints: &[Arc<str>]) -> Waiting {
        self.lock().entrypoints = (!entrypoints.is_empty()).then(|| entrypoints.into());
        let waiting = Waiting(self.clone());
        waiting.ask_again();
        waiting
    }

    /// What is waited for now.
    pub fn question(&self) -> Option<Question> {
        let state = self.lock();
        state.entrypoints.clone().map(|entrypoints| Question { number: state.number, entrypoints })
    }

    /// The database was asked after this question was put: so long until the next job is due.
    pub fn answer(&self, question: &Question, due: Option<Duration>) {
        let mut state = self.lock();
        if state.entrypoints.is_some() && state.number == question.number {
            state.answer = Some(due);
            self.0.answered.notify_one();
        }
    }
}

impl Waiting {
    /// What was asked until now is of no use any more: the claim loop knows later things.
    pub fn ask_again(&self) {
        let mut state = self.0.lock();
        (state.number, state.answer) = (state.number.wrapping_add(1), None);
    }

    /// Resolves when there is an answer.
    pub async fn answer(&self) -> Option<Duration> {
        loop {
            if let Some(due) = self.0.lock().answer.take() {
                return due;
            }
            self.0.0.answered.notified().await;
        }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        (state.entrypoints, state.answer) = (None, None);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_an_answer_to_the_open_question_is_heard() {
        const SOON: Option<Duration> = Some(Duration::from_secs(5));
        let idle = Idle::default();
        assert!(idle.question().is_none(), "nobody waits");
        let waiting = idle.wait_for(&["nap".into()]);
        let early = idle.question().expect("somebody waits");
        assert_eq!(&*early.entrypoints, ["nap".into()]);
        waiting.ask_again();
        idle.answer(&early, None);
        idle.answer(&idle.question().expect("somebody waits"), SOON);
        assert_eq!(waiting.answer().await, SOON, "the claim loop has asked itself since the first question");
        let late = idle.question().expect("somebody waits");
        drop(waiting);
        assert!(idle.question().is_none(), "nobody waits any more");
        let waiting = idle.wait_for(&["nap".into()]);
        idle.answer(&late, None);
        idle.answer(&idle.question().expect("somebody waits"), SOON);
        assert_eq!(waiting.answer().await, SOON, "it has claimed since");
        drop(waiting);
        let _waiting = idle.wait_for(&[]);
        assert!(idle.question().is_none(), "nothing is served");
    }
}
