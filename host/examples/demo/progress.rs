//! Shows the progress: one line per entrypoint that is redrawn in place, or one plain line per
//! second if stderr is not a terminal.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use crate::ledger::Standing;
use crate::order::Tally;

/// Keeps a line shorter than 80 columns. A line that wraps cannot be redrawn.
const BAR: usize = 9;
const PLAIN_EVERY: Duration = Duration::from_secs(1);

pub(crate) struct Progress {
    start: Instant,
    terminal: bool,
    drawn: usize,
    said: Option<Instant>,
}

impl Progress {
    pub(crate) fn new() -> Progress {
        Progress { start: Instant::now(), terminal: std::io::stderr().is_terminal(), drawn: 0, said: None }
    }

    pub(crate) fn show(&mut self, standings: &[Standing], wanted: &Tally) {
        if self.terminal {
            self.draw(standings, wanted);
        } else if self.said.is_none_or(|said| said.elapsed() >= PLAIN_EVERY) {
            self.said = Some(Instant::now());
            self.say(standings);
        }
    }

    pub(crate) fn end(&self) {
        eprintln!("all jobs ended after {:.1} s", self.start.elapsed().as_secs_f64());
    }

    fn draw(&mut self, standings: &[Standing], wanted: &Tally) {
        let mut text = String::new();
        // Move to the first of the lines drawn before. Each is then overwritten, and its rest is
        // erased.
        if self.drawn > 0 {
            let _ = write!(text, "\x1b[{}A", self.drawn);
        }
        for standing in standings {
            let Standing { entrypoint, queued, running, held, done, retried } = standing;
            let total = wanted[entrypoint].total();
            let filled = BAR * standing.ended() / total.max(1);
            let (full, empty) = ("█".repeat(filled), "░".repeat(BAR - filled));
            let _ = writeln!(
                text,
                "\r{entrypoint:<13}{full}{empty} {queued:>4} queued {running:>3} running {done:>4} done {retried:>3} retried {held:>2} failed\x1b[K"
            );
        }
        let _ = std::io::stderr().write_all(text.as_bytes());
        self.drawn = standings.len();
    }

    fn say(&self, standings: &[Standing]) {
        let parts = standings.iter().map(|Standing { entrypoint, queued, running, held, done, retried }| {
            let counts =
                [(queued, "queued"), (running, "running"), (done, "done"), (retried, "retried"), (held, "failed")];
            let counts: Vec<String> =
                counts.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("{count} {what}")).collect();
            format!("{entrypoint}: {}", if counts.is_empty() { "-".to_owned() } else { counts.join(", ") })
        });
        eprintln!("{:>3} s  {}", self.start.elapsed().as_secs(), parts.collect::<Vec<_>>().join(" | "));
    }
}
