//! The last answer to a question, and what became of the last try.

use chrono::{DateTime, Utc};
use tokio::time::Instant;

use crate::ask::{Answer, Ask};

#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) ask: Ask,
    pub(crate) answer: Option<Answer>,
    /// When that was read.
    pub(crate) at: Option<(Instant, DateTime<Utc>)>,
    /// Why it could not be read again.
    pub(crate) error: Option<String>,
}

/// One of each kind: what somebody comes back to is there at once.
#[derive(Debug, Default)]
pub(crate) struct Memory(Vec<Known>);

impl Memory {
    pub(crate) fn get(&self, ask: &Ask) -> Option<&Known> {
        self.0.iter().find(|known| known.ask == *ask)
    }

    /// What came of a try. An old answer outlives a failure.
    pub(crate) fn learn(&mut self, ask: Ask, result: Result<Answer, String>) {
        let kind = std::mem::discriminant(&ask);
        let before = self.0.iter().position(|known| std::mem::discriminant(&known.ask) == kind);
        let before = before.map(|place| self.0.swap_remove(place)).filter(|known| known.ask == ask);
        let known = match result {
            Ok(answer) => Known { ask, answer: Some(answer), at: Some((Instant::now(), Utc::now())), error: None },
            Err(error) => match before {
                Some(before) => Known { error: Some(error), ..before },
                None => Known { ask, answer: None, at: None, error: Some(error) },
            },
        };
        self.0.push(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_answer_outlives_a_failure_and_another_question_of_its_kind_does_not_get_it() {
        let mut memory = Memory::default();
        memory.learn(Ask::Job(1), Ok(Answer::Job(None)));
        memory.learn(Ask::Job(1), Err("silence".into()));
        let known = memory.get(&Ask::Job(1)).expect("known");
        assert!(known.answer.is_some() && known.at.is_some() && known.error.as_deref() == Some("silence"));
        memory.learn(Ask::Job(2), Err("silence".into()));
        assert!(memory.get(&Ask::Job(1)).is_none(), "one of each kind");
        assert!(memory.get(&Ask::Job(2)).is_some_and(|known| known.answer.is_none()));
        memory.learn(Ask::Schedules, Ok(Answer::Schedules(Vec::new())));
        assert!(memory.get(&Ask::Job(2)).is_some());
    }
}
