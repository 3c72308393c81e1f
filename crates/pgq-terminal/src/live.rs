//! The loop: keys, answers, changes, signals and the clock, one after the other. Nothing in it waits
//! for the database, so that the terminal never freezes.

use std::future::pending;
use std::io;
use std::time::Duration;

use anyhow::Context as _;
use chrono::Utc;
use futures_util::StreamExt as _;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use pgq_queue::{Actor, Operator};
use ratatui::crossterm::event::{Event, KeyEventKind};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::Receiver;
use tokio::time::{Instant, sleep_until};

use crate::app::{App, Over};
use crate::ask::{Answer, Ask};
use crate::draw::{Clock, draw};
use crate::input::events;
use crate::keys::{Act, paste, press};
use crate::screen::Screen;
use crate::todo::Todo;
use crate::tone::{Paint, Tone};

/// Questions that are under way at a time: somebody who looks through the views waits for none.
const MOST_ASKED: usize = 3;
/// The screen tells how old it is.
const TICK: Duration = Duration::from_secs(1);

/// What a dashboard needs.
#[derive(Debug, Clone)]
pub struct Live {
    pub operator: Operator,
    /// Who changes things, for the audit.
    pub author: String,
    /// The database, as it is named on the screen.
    pub place: String,
    /// Between an answer and the next question.
    pub interval: Duration,
    /// Whether the terminal's colours are wanted.
    pub colors: bool,
}

type Asking = FuturesUnordered<BoxFuture<'static, (Ask, Result<Answer, String>)>>;

/// What came of a count or a change.
enum Came {
    Counted(Result<Todo, String>),
    Done(Result<String, String>),
}

struct Running {
    live: Live,
    app: App,
    asking: Asking,
    /// What is asked at the moment, and since when.
    asked: Vec<(Ask, Instant)>,
    /// When to ask again.
    next: Instant,
    working: FuturesUnordered<BoxFuture<'static, Came>>,
}

/// Show what goes on until somebody has seen enough.
///
/// # Errors
///
/// Fails if the terminal does.
pub async fn live(live: Live) -> anyhow::Result<()> {
    let install = |kind| signal(kind).context("cannot catch signals");
    let (mut interrupt, mut terminate) = (install(SignalKind::interrupt())?, install(SignalKind::terminate())?);
    let mut stop = install(SignalKind::from_raw(rustix::process::Signal::TSTP.as_raw()))?;
    let mut screen = Screen::take().context("cannot take over the terminal")?;
    let mut keys = events().context("cannot read the keyboard")?;
    let paint = Paint { colors: live.colors };
    let app = App::new(live.place.clone());
    let mut running = Running {
        live,
        app,
        asking: FuturesUnordered::new(),
        asked: Vec::new(),
        next: Instant::now(),
        working: FuturesUnordered::new(),
    };
    loop {
        running.ask();
        let clock = Clock { now: Utc::now(), instant: Instant::now() };
        let asked = running.asked_since();
        fail_as_a_test_wants();
        screen.draw(|frame| draw(frame, &mut running.app, paint, clock, asked)).context("cannot draw")?;
        let tick = clock.instant + TICK;
        let wake = if running.can_ask() { running.next.min(tick) } else { tick };
        let act = tokio::select! {
            event = keys.recv() => running.events(event, &mut keys)?,
            Some((ask, result)) = next(&mut running.asking) => {
                running.answered(ask, result);
                Act::Nothing
            }
            Some(came) = next(&mut running.working) => {
                running.came(came);
                Act::Nothing
            }
            () = sleep_until(wake) => Act::Nothing,
            _ = interrupt.recv() => Act::Quit,
            _ = terminate.recv() => Act::Quit,
            _ = stop.recv() => Act::Suspend,
        };
        match act {
            Act::Quit => return Ok(()),
            Act::Suspend if !screen.suspend().context("cannot suspend")? => {
                running.app.said = Some((Tone::Warn, "There is no shell to go back to; q ends the dashboard.".into()));
            }
            Act::Refresh | Act::Suspend => {
                screen.forget().context("cannot draw")?;
                running.next = Instant::now();
            }
            act => running.act(act),
        }
    }
}

/// For tests of what becomes of the terminal: it panics when the file of `PGQ_HOST_TEST_PANIC_AT` is
/// there. Builds for use do not have it.
fn fail_as_a_test_wants() {
    #[cfg(debug_assertions)]
    if std::env::var_os("PGQ_HOST_TEST_PANIC_AT").is_some_and(|at| std::path::Path::new(&at).exists()) {
        panic!("as the test wants it");
    }
}

/// The next one, once there is one.
async fn next<T>(of: &mut FuturesUnordered<BoxFuture<'static, T>>) -> Option<T> {
    if of.is_empty() { pending().await } else { of.next().await }
}

impl Running {
    /// Whether the page's question may be asked when its time has come.
    fn can_ask(&self) -> bool {
        let ask = self.app.ask();
        self.asked.len() < MOST_ASKED && !self.asked.iter().any(|(asked, _)| *asked == ask)
    }

    /// Ask what the page needs: what is not known at once, and what is known after a while.
    fn ask(&mut self) {
        let is_new = self.app.known().is_none();
        if self.can_ask() && (is_new || Instant::now() >= self.next) {
            let (ask, operator) = (self.app.ask(), self.live.operator.clone());
            self.asked.push((ask.clone(), Instant::now()));
            self.asking.push(Box::pin(async move {
                let answer = ask.answer(&operator).await;
                (ask, answer)
            }));
        }
    }

    /// Since when the page waits for an answer.
    fn asked_since(&self) -> Option<Instant> {
        let ask = self.app.ask();
        self.asked.iter().find(|(asked, _)| *asked == ask).map(|(_, at)| *at)
    }

    fn answered(&mut self, ask: Ask, result: Result<Answer, String>) {
        self.asked.retain(|(asked, _)| *asked != ask);
        if ask == self.app.ask() {
            self.next = Instant::now() + self.live.interval;
            self.app.memory.learn(ask, result);
        }
    }

    /// This event, and those that came with it: one drawing for all.
    fn events(
        &mut self,
        first: Option<io::Result<Event>>,
        more: &mut Receiver<io::Result<Event>>,
    ) -> anyhow::Result<Act> {
        let mut event = first;
        loop {
            let Some(one) = event else {
                return Ok(Act::Quit);
            };
            let before = self.app.page;
            let act = match one.context("cannot read the keyboard")? {
                Event::Key(key) if key.kind != KeyEventKind::Release => press(&mut self.app, key),
                Event::Paste(text) => {
                    paste(&mut self.app, &text);
                    Act::Nothing
                }
                _ => Act::Nothing,
            };
            if before != self.app.page {
                // What is known of the page is shown, and read again.
                self.next = Instant::now();
            }
            match act {
                Act::Nothing => {}
                act => return Ok(act),
            }
            match more.try_recv() {
                Ok(one) => event = Some(one),
                Err(_) => return Ok(Act::Nothing),
            }
        }
    }

    fn act(&mut self, act: Act) {
        let operator = self.live.operator.clone();
        match act {
            Act::Count(todo) => {
                self.working.push(Box::pin(async move { Came::Counted(todo.counted(&operator).await) }));
            }
            Act::Do(todo, reason) => {
                self.app.is_busy = true;
                self.app.said = None;
                let actor = Actor { author: self.live.author.clone(), reason };
                self.working.push(Box::pin(async move { Came::Done(todo.done(&operator, &actor).await) }));
            }
            Act::Nothing | Act::Quit | Act::Suspend | Act::Refresh => {}
        }
    }

    fn came(&mut self, came: Came) {
        match came {
            Came::Counted(Ok(counted)) => {
                // Whoever left the question, or asked another one, is not asked now.
                if let Over::Question { todo, .. } = &mut self.app.over
                    && todo.is_counted_by(&counted)
                {
                    *todo = counted;
                }
            }
            Came::Counted(Err(error)) => {
                self.app.over = Over::Nothing;
                self.app.said = Some((Tone::Bad, format!("Nothing was done: {}", crate::text::safe(&error))));
            }
            Came::Done(result) => {
                self.app.is_busy = false;
                self.app.unmark();
                self.app.said = Some(match result {
                    Ok(done) => (Tone::Good, done),
                    Err(error) => (Tone::Bad, format!("It failed: {}", crate::text::safe(&error))),
                });
                self.next = Instant::now();
            }
        }
    }
}
