//! What keys do.

use chrono::Utc;
use pgq_queue::PauseTarget;
use pgq_queue::job_change::Verb;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{App, Over};
use crate::ask::Answer;
use crate::field::Field;
use crate::filter_line;
use crate::meant::{chosen, jobs, open, target};
use crate::page::{Page, Tab};
use crate::table::{Key, Row};
use crate::todo::Todo;

/// What is to be done about a key, beside what it changed in the state.
#[derive(Debug)]
pub(crate) enum Act {
    Nothing,
    Quit,
    Suspend,
    /// Draw everything anew, and ask at once.
    Refresh,
    /// Count the jobs that a question is about.
    Count(Todo),
    /// Do it, for this reason.
    Do(Todo, Option<String>),
}

/// Keys and what they do, for the help.
pub(crate) const KEYS: [(&str, &str); 21] = [
    ("1 to 6, Tab", "the views"),
    ("Up, Down, j, k", "choose a row, or scroll; also PgUp, PgDn, Home, End, g, G"),
    ("Enter", "open what is chosen: its jobs, or everything about one job"),
    ("Esc, Backspace", "back"),
    ("s, S", "sort by the next column; the other way round"),
    ("/", "filter the jobs, with the options of `pgq-host jobs`: --status failed --error timeout"),
    (">, <", "the next page of jobs; the page before"),
    ("Space", "mark a job"),
    ("a", "mean all jobs that match the filter"),
    ("r", "requeue: the job, the marked ones, all that match, or those held for a cause"),
    ("c", "cancel them"),
    ("n", "run them now: those that wait for a delay or a back-off"),
    ("p", "pause the entrypoint or the plugin"),
    ("u", "resume it"),
    ("P, U", "pause everything; resume everything"),
    ("", "Nothing is changed before Enter confirms it. The audit notes who did it, and why."),
    ("Ctrl-L", "read again now"),
    ("Ctrl-U, Ctrl-W", "where a line is typed: delete it; delete the last word"),
    ("Ctrl-Z", "to the shell for now; `fg` comes back"),
    ("?", "this help"),
    ("q, Ctrl-C", "end"),
];

pub(crate) fn press(app: &mut App, key: KeyEvent) -> Act {
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    if key.modifiers.contains(KeyModifiers::ALT) {
        // Esc and a key at once, perhaps: what was meant is not known.
        return Act::Nothing;
    }
    match key.code {
        KeyCode::Char('c') if control => return Act::Quit,
        KeyCode::Char('z') if control => return Act::Suspend,
        KeyCode::Char('l') if control => return Act::Refresh,
        _ => {}
    }
    match &mut app.over {
        Over::Nothing if !control => on_page(app, key.code),
        Over::Nothing => Act::Nothing,
        Over::Help => {
            if matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?' | 'q') | KeyCode::Backspace) {
                app.over = Over::Nothing;
            }
            Act::Nothing
        }
        Over::Filter { field, error } => match key.code {
            KeyCode::Esc => {
                app.over = Over::Nothing;
                Act::Nothing
            }
            KeyCode::Enter => {
                match filter_line::parse(&field.text) {
                    Ok(filter) => {
                        app.over = Over::Nothing;
                        app.show_jobs(filter);
                    }
                    Err(said) => *error = Some(said),
                }
                Act::Nothing
            }
            code => {
                *error = None;
                typed(field, code, control)
            }
        },
        Over::Question { todo, reason, error } => match key.code {
            KeyCode::Esc => {
                app.over = Over::Nothing;
                Act::Nothing
            }
            KeyCode::Enter if !todo.is_ready() => Act::Nothing,
            KeyCode::Enter if todo.needs_reason() && reason.text.trim().is_empty() => {
                *error = Some("Say why, for whoever wonders.".into());
                Act::Nothing
            }
            KeyCode::Enter => {
                let why = Some(reason.text.trim().to_owned()).filter(|why| !why.is_empty());
                let todo = todo.clone();
                app.over = Over::Nothing;
                Act::Do(todo, why)
            }
            code => {
                *error = None;
                typed(reason, code, control)
            }
        },
    }
}

/// What is pasted goes into a line that is typed, and is no key anywhere else.
pub(crate) fn paste(app: &mut App, text: &str) {
    match &mut app.over {
        Over::Filter { field, .. } => field.add(text),
        Over::Question { reason, .. } => reason.add(text),
        Over::Nothing | Over::Help => {}
    }
}

fn typed(field: &mut Field, code: KeyCode, control: bool) -> Act {
    match code {
        KeyCode::Char('u') if control => field.clear(),
        KeyCode::Char('w') if control => field.delete_word(),
        KeyCode::Char(c) if !control => field.add(c.encode_utf8(&mut [0; 4])),
        KeyCode::Backspace => field.delete(),
        _ => {}
    }
    Act::Nothing
}

fn on_page(app: &mut App, code: KeyCode) -> Act {
    let page = isize::try_from(app.rows.max(2) - 1).unwrap_or(1);
    match code {
        KeyCode::Char('q') => return Act::Quit,
        KeyCode::Char('?') => app.over = Over::Help,
        KeyCode::Char(digit @ '1'..='6') => Tab::of(digit).into_iter().for_each(|tab| app.switch(tab)),
        KeyCode::Tab | KeyCode::BackTab => {
            let by = if code == KeyCode::Tab { 1 } else { Tab::ALL.len() - 1 };
            match app.page {
                Page::Tab(tab) => app.switch(tab.next(by)),
                Page::Job(_) => app.back(),
            }
        }
        KeyCode::Up | KeyCode::Char('k') => go(app, -1),
        KeyCode::Down | KeyCode::Char('j') => go(app, 1),
        KeyCode::PageUp => go(app, -page),
        KeyCode::PageDown => go(app, page),
        KeyCode::Home | KeyCode::Char('g') => go(app, isize::MIN),
        KeyCode::End | KeyCode::Char('G') => go(app, isize::MAX),
        KeyCode::Esc | KeyCode::Backspace if app.all || !app.marked.is_empty() => app.unmark(),
        KeyCode::Esc | KeyCode::Backspace => app.back(),
        KeyCode::Enter => open(app),
        KeyCode::Char('s') => sort(app, false),
        KeyCode::Char('S') => sort(app, true),
        KeyCode::Char('/') => {
            app.over = Over::Filter { field: Field::new(filter_line::write(&app.filter)), error: None };
        }
        KeyCode::Char('>') => next_page(app),
        KeyCode::Char('<') => {
            app.places.pop();
        }
        KeyCode::Char(' ') => mark(app),
        KeyCode::Char('a') if app.page == Page::Tab(Tab::Jobs) => app.all = !app.all,
        KeyCode::Char('r') => return jobs(app, Verb::Requeue).map_or(Act::Nothing, |todo| ask(app, todo)),
        KeyCode::Char('c') => return jobs(app, Verb::Cancel).map_or(Act::Nothing, |todo| ask(app, todo)),
        KeyCode::Char('n') => return jobs(app, Verb::RetryNow).map_or(Act::Nothing, |todo| ask(app, todo)),
        KeyCode::Char('p') => return target(app).map_or(Act::Nothing, |target| ask(app, Todo::Pause(target))),
        KeyCode::Char('u') => return target(app).map_or(Act::Nothing, |target| ask(app, Todo::Resume(target))),
        KeyCode::Char('P') => return ask(app, Todo::Pause(PauseTarget::All)),
        KeyCode::Char('U') => return ask(app, Todo::Resume(PauseTarget::All)),
        _ => {}
    }
    Act::Nothing
}

fn go(app: &mut App, by: isize) {
    app.said = None;
    match (app.page, app.table(Utc::now())) {
        (Page::Job(_), _) => app.scroll = app.scroll.saturating_add_signed(by),
        (Page::Tab(_), Some(table)) => {
            if let Some(list) = app.list() {
                list.go(&table, by);
            }
        }
        (Page::Tab(_), None) => {}
    }
}

fn sort(app: &mut App, reverse: bool) {
    let Some(table) = app.table(Utc::now()) else { return };
    let Some(list) = app.list() else { return };
    match reverse {
        true => list.reversed = !list.reversed,
        false => list.sort_next(table.columns),
    }
}

fn mark(app: &mut App) {
    if app.page != Page::Tab(Tab::Jobs) {
        return;
    }
    if let Some(Row { key: Key::Job(id), .. }) = chosen(app) {
        if !app.marked.remove(&id) {
            app.marked.insert(id);
        }
        go(app, 1);
    }
}

fn next_page(app: &mut App) {
    if let Some(Answer::Jobs(page)) = app.answer()
        && let Some(next) = page.next
    {
        app.places.push(next);
    }
}

fn ask(app: &mut App, todo: Todo) -> Act {
    if app.is_busy {
        return Act::Nothing;
    }
    let act = if todo.is_ready() { Act::Nothing } else { Act::Count(todo.clone()) };
    app.over = Over::Question { todo, reason: Field::default(), error: None };
    act
}
