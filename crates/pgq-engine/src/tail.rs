//! The last lines of a run, within a number of bytes.

use std::collections::VecDeque;
use std::time::Instant;

use pgq_job::{Line, Printed};

/// What a line takes beside its text.
const LINE_BYTES: usize = 32;

/// Lines come in at one end, and those that do not fit fall out at the other.
#[derive(Debug)]
pub(super) struct Tail {
    most: usize,
    began: Instant,
    bytes: usize,
    printed: Printed,
    lines: VecDeque<Line>,
}

impl Tail {
    /// Of at most so many bytes; 0 keeps nothing.
    pub(super) fn new(most: usize) -> Tail {
        Tail { most, began: Instant::now(), bytes: 0, printed: Printed::default(), lines: VecDeque::new() }
    }

    pub(super) fn push(&mut self, stream: &'static str, level: &'static str, message: &str, fields: &str) {
        if self.most == 0 {
            return;
        }
        let (message, fields) = (message.to_owned(), fields.to_owned());
        let line = Line { after: self.began.elapsed(), stream, level, message, fields };
        self.bytes += size(&line);
        self.lines.push_back(line);
        while self.bytes > self.most
            && let Some(line) = self.lines.pop_front()
        {
            self.bytes -= size(&line);
            self.printed.cut += (line.message.len() + line.fields.len()) as u64;
        }
    }

    /// Take what is there.
    pub(super) fn take(&mut self) -> Printed {
        self.bytes = 0;
        Printed { lines: std::mem::take(&mut self.lines).into(), ..std::mem::take(&mut self.printed) }
    }
}

fn size(line: &Line) -> usize {
    line.message.len() + line.fields.len() + LINE_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_and_the_rest_is_counted() {
        let mut tail = Tail::new(3 * (LINE_BYTES + 4));
        for n in 0..10 {
            tail.push("stdout", "info", &format!("n={n}"), "a");
        }
        let Printed { lines, cut } = tail.take();
        assert_eq!(lines.iter().map(|line| line.message.as_str()).collect::<Vec<_>>(), ["n=7", "n=8", "n=9"]);
        assert_eq!((cut, tail.take().is_empty()), (7 * 4, true));
        // A line that does not fit by itself is gone, and counted.
        tail.push("log", "warn", &"x".repeat(1000), "");
        assert_eq!(tail.take(), Printed { lines: Vec::new(), cut: 1000 });
        let mut none = Tail::new(0);
        none.push("log", "warn", "x", "");
        assert!(none.take().is_empty());
    }
}
