//! Where the next page of a list begins: behind this row, in the order of the index that is read.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Serialize, Serializer};

/// The last row that was looked at. Rows that come or go meanwhile move no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// By id, downwards.
    Id(i64),
    /// By the time of the claim, upwards.
    Claimed { at: DateTime<Utc>, id: i64 },
    /// By priority, downwards.
    Waiting { priority: i32, id: i64 },
    /// By the time of a log row, downwards.
    Logged { at: DateTime<Utc>, id: i64 },
}

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cursor::Id(id) => write!(f, "id:{id}"),
            Cursor::Claimed { at, id } => write!(f, "claimed:{}:{id}", at.timestamp_micros()),
            Cursor::Waiting { priority, id } => write!(f, "waiting:{priority}:{id}"),
            Cursor::Logged { at, id } => write!(f, "logged:{}:{id}", at.timestamp_micros()),
        }
    }
}

impl Serialize for Cursor {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl FromStr for Cursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Cursor, String> {
        let parts: Vec<&str> = text.split(':').collect();
        let time = |micros: &str| DateTime::from_timestamp_micros(micros.parse().ok()?);
        let cursor = match parts[..] {
            ["id", id] => id.parse().ok().map(Cursor::Id),
            ["claimed", at, id] => time(at).zip(id.parse().ok()).map(|(at, id)| Cursor::Claimed { at, id }),
            ["waiting", priority, id] => {
                priority.parse().ok().zip(id.parse().ok()).map(|(priority, id)| Cursor::Waiting { priority, id })
            }
            ["logged", at, id] => time(at).zip(id.parse().ok()).map(|(at, id)| Cursor::Logged { at, id }),
            _ => None,
        };
        cursor.ok_or_else(|| "it is no place in a list; copy it from the end of the page before".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_what_it_writes() {
        let at = DateTime::from_timestamp_micros(1_764_000_000_123_456).expect("a time");
        for cursor in [
            Cursor::Id(7),
            Cursor::Claimed { at, id: 8 },
            Cursor::Waiting { priority: -3, id: 9 },
            Cursor::Logged { at, id: 10 },
        ] {
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
        for text in ["", "7", "id:", "id:x", "id:1:2", "claimed:9223372036854775807:1", "waiting:99999999999:1"] {
            assert!(text.parse::<Cursor>().is_err(), "{text}");
        }
    }
}
