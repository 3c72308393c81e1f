//! Records what a run logs and submits.

use std::cell::RefCell;

use crate::Enqueued;
use crate::log::Level;

/// One line of the job's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    pub level: Level,
    pub message: String,
    /// The fields, in order.
    pub fields: Vec<(String, String)>,
}

impl LogLine {
    /// The value of one field.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self.fields.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }
}

thread_local! {
    /// What the run on this thread has logged and submitted. `cargo test` has one thread per test.
    static RECORDED: RefCell<Option<Recorded>> = const { RefCell::new(None) };
}

pub(super) type Recorded = (Vec<LogLine>, Vec<Enqueued>);

/// Owns the thread's recording, and releases it even when a handler panics.
pub(super) struct Recording;

impl Recording {
    pub(super) fn start() -> Self {
        RECORDED.replace(Some(Recorded::default()));
        Self
    }

    pub(super) fn finish(self) -> Recorded {
        RECORDED.take().unwrap_or_default()
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        RECORDED.take();
    }
}

/// Outside a run (in a helper called by a test), the line goes to stderr.
pub(crate) fn emit(level: Level, message: &str, fields: &[(&str, String)]) {
    let line = LogLine {
        level,
        message: message.to_owned(),
        fields: fields.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
    };
    RECORDED.with_borrow_mut(|recorded| match recorded {
        Some((logs, _)) => logs.push(line),
        None => eprintln!("{level:?} {message} {:?}", line.fields),
    });
}

/// Outside a run, there is no job whose outcome could carry a request.
pub(crate) fn submit(job: Enqueued) -> Result<(), String> {
    RECORDED.with_borrow_mut(|recorded| match recorded {
        Some((_, enqueued)) => {
            enqueued.push(job);
            Ok(())
        }
        None => Err("no job is running; use `TestRun::of`".to_owned()),
    })
}
