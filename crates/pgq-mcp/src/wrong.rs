//! Why a tool has no answer, in words that an assistant can act on.

use pgq_queue::told::Told as _;
use pgq_queue::{BadFilter, was_cancelled};

#[derive(Debug, thiserror::Error)]
pub(crate) enum Wrong {
    /// There is no such tool: an error of the protocol.
    #[error("there is no tool {0:?}; `tools/list` names those that there are")]
    NoTool(String),
    /// An argument, by its name, and the remedy.
    #[error("{0}")]
    Asked(String),
    #[error("{}", of_database(.0))]
    Database(#[from] sqlx::Error),
}

impl From<BadFilter> for Wrong {
    fn from(bad: BadFilter) -> Wrong {
        Wrong::Asked(bad.0)
    }
}

fn of_database(error: &sqlx::Error) -> String {
    let code = error.as_database_error().and_then(|error| error.code());
    let remedy = match code.as_deref() {
        _ if was_cancelled(error) => {
            "the answer took too long: ask for less, or start the server with a longer --statement-timeout"
        }
        Some("42P01") => {
            "the queue's tables do not exist: run `pgq-host install`, or start the server with the right --prefix and --schema"
        }
        Some("42501") => "the role of this server lacks a privilege: see `pgq-host grant`",
        Some(_) => "the database refused",
        None => "the database cannot be reached",
    };
    format!("{remedy}: {}", error.told())
}
