//! The screen: a line of views, what is known and since when, the page, and the keys.

mod canvas;
mod chart;
mod list;
mod over;
mod overview;

use chrono::{DateTime, Utc};
use pgq_job::units::span;
use ratatui::Frame;
use tokio::time::Instant;

use crate::app::{App, Over};
use crate::ask::Answer;
use crate::looks;
use crate::page::{Page, Tab};
use crate::text::{fit, is_harmless, safe, width};
use crate::tone::{Paint, Tone};
use canvas::Canvas;

/// A screen that is smaller shows nothing.
const LEAST: (u16, u16) = (40, 10);
/// A database that takes longer is waited for, visibly.
const LATE: f64 = 2.0;

/// The time as people and as machines count it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: DateTime<Utc>,
    pub(crate) instant: Instant,
}

/// `asked`: since when the database is being asked.
pub(crate) fn draw(frame: &mut Frame<'_>, app: &mut App, paint: Paint, clock: Clock, asked: Option<Instant>) {
    let area = frame.area();
    app.height = area.height.into();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        let mut canvas = Canvas::new(frame, paint);
        canvas.put(0, 0, Tone::Strong, &format!("{}x{} is too small.", area.width, area.height));
        return;
    }
    let mut canvas = Canvas::new(frame, paint);
    tabs(&mut canvas, app);
    freshness(&mut canvas, app, clock, asked);
    let (top, height) = (2, canvas.height - 3);
    match &app.over {
        Over::Help => over::help(&mut canvas, top, height),
        _ => page(&mut canvas, app, clock, top, height),
    }
    footer(&mut canvas, app);
    if let Over::Question { todo, reason, error } = &app.over {
        over::question(&mut canvas, todo, reason, error.as_deref());
    }
    // Whatever was drawn, and by whom: no cell drives the terminal.
    let buffer = frame.buffer_mut();
    buffer.content.iter_mut().filter(|cell| !is_harmless(cell.symbol())).for_each(|cell| {
        cell.set_symbol("?");
    });
}

fn tabs(canvas: &mut Canvas<'_, '_>, app: &App) {
    let mut column = 0;
    let here = |tab: Tab| match app.page {
        Page::Tab(page) => page == tab,
        Page::Job(_) => tab == Tab::Jobs,
    };
    for (number, tab) in (1..).zip(Tab::ALL) {
        let (tone, text) = match here(tab) {
            true => (Tone::Strong, format!("[{number} {}]", tab.name())),
            false => (Tone::Plain, format!(" {number} {} ", tab.name())),
        };
        column += canvas.put(column, 0, tone, &text);
    }
    let place = safe(&app.place);
    if usize::from(canvas.width) > column + width(&place) + 2 {
        canvas.put(usize::from(canvas.width) - width(&place), 0, Tone::Dim, &place);
    }
}

/// What is known, and since when: above all that it is old.
fn freshness(canvas: &mut Canvas<'_, '_>, app: &App, clock: Clock, asked: Option<Instant>) {
    let known = app.known();
    let since = |at: Instant| span(clock.instant.saturating_duration_since(at).as_secs_f64().floor());
    let at = known.and_then(|known| known.at);
    let waits = asked.filter(|asked| clock.instant.saturating_duration_since(*asked).as_secs_f64() >= LATE);
    let old = at.map(|(at, _)| format!("what is shown is {} old", since(at)));
    let (tone, text) = match (known.and_then(|known| known.error.as_deref()), waits, at) {
        (Some(error), ..) => {
            let old = old.unwrap_or_else(|| "nothing is known yet".into());
            (Tone::Bad, format!("NO ANSWER, {old}: {}", safe(error)))
        }
        (None, Some(asked), _) => {
            let old = old.unwrap_or_else(|| "nothing is known yet".into());
            (Tone::Warn, format!("WAITING for the database for {}, {old}", since(asked)))
        }
        (None, None, Some((_, time))) => (Tone::Dim, format!("{} UTC", time.format("%Y-%m-%d %H:%M:%S"))),
        (None, None, None) => (Tone::Dim, "reading ...".into()),
    };
    canvas.put(0, 1, tone, &text);
    if let Some(Answer::Overview(look)) = app.answer()
        && let Some(paused) = looks::overview::paused(look)
    {
        let column = width(&text) + 2;
        canvas.put(column, 1, Tone::Warn, &paused);
    }
}

fn page(canvas: &mut Canvas<'_, '_>, app: &mut App, clock: Clock, top: u16, height: u16) {
    match (app.page, app.answer()) {
        (_, None) => {
            app.rows = 0;
        }
        (Page::Tab(Tab::Overview), Some(_)) => overview::overview(canvas, app, clock.now, top, height),
        (Page::Tab(_), Some(_)) => list::list(canvas, app, clock.now, top, height),
        (Page::Job(id), Some(Answer::Job(job))) => {
            let lines = match job {
                Some(job) => looks::job::lines(job, usize::from(canvas.width), clock.now),
                None => vec![(
                    Tone::Plain,
                    format!(
                        "Neither the queue nor the log knows job {id}. Old rows of the log are removed by retention."
                    ),
                )],
            };
            let shown = usize::from(height);
            app.rows = shown;
            app.scroll = app.scroll.min(lines.len().saturating_sub(shown));
            for ((tone, line), row) in lines.iter().skip(app.scroll).take(shown).zip(top..) {
                canvas.put(0, row, *tone, line);
            }
            if lines.len() > shown {
                let place = format!(" {} to {} of {} lines", app.scroll + 1, app.scroll + shown, lines.len());
                canvas.put(usize::from(canvas.width).saturating_sub(width(&place)), 1, Tone::Dim, &place);
            }
        }
        (Page::Job(_), Some(_)) => {}
    }
}

/// What was done, or the keys of the page.
fn footer(canvas: &mut Canvas<'_, '_>, app: &App) {
    let row = canvas.height - 1;
    if let Over::Filter { field, error } = &app.over {
        over::filter(canvas, row, field, error.as_deref());
        return;
    }
    if app.is_busy {
        canvas.put(0, row, Tone::Busy, "Changing ...");
        return;
    }
    if let Some((tone, said)) = &app.said {
        canvas.put(0, row, *tone, &fit(said, usize::from(canvas.width)));
        return;
    }
    let keys = match app.page {
        Page::Tab(Tab::Overview) => "Enter jobs  p pause  u resume  s sort",
        Page::Tab(Tab::Jobs) => "Enter open  / filter  Space mark  r requeue  c cancel  n now",
        Page::Tab(Tab::Failures) => "Enter held jobs  r requeue them  c cancel them  s sort",
        Page::Tab(Tab::Plugins) => "Enter jobs  p pause  u resume  s sort",
        Page::Tab(Tab::Hosts) => "s sort",
        Page::Tab(Tab::Schedules) => "Enter jobs  p pause  u resume  s sort",
        Page::Job(_) => "r requeue  c cancel  n now  Esc back",
    };
    canvas.put(0, row, Tone::Dim, &format!("? help  q end  {keys}"));
}
