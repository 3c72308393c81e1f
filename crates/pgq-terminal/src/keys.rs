//! What keys do.

use chrono::Utc;
use pgq_queue::JobFilterBody;
use pgq_queue::PauseTarget;
use pgq_queue::job_change::{Chosen, Verb};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::app::{App, Over};
use crate::ask::Answer;
use crate::field::Field;
use crate::filter_line;
use crate::page::{Page, Tab};
use crate::table::{Key, Row};
use crate::todo::{Todo, Which};

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
        KeyCode::Char('r') => return jobs(app, Verb::Requeue),
        KeyCode::Char('c') => return jobs(app, Verb::Cancel),
        KeyCode::Char('n') => return jobs(app, Verb::RetryNow),
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

fn chosen(app: &mut App) -> Option<Row> {
    let table = app.table(Utc::now())?;
    app.list()?.row(&table).cloned()
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

fn open(app: &mut App) {
    let Some(row) = chosen(app) else { return };
    let of = |entrypoint: Option<String>| JobFilterBody { entrypoint, ..JobFilterBody::default() };
    match (app.page, row.key) {
        (Page::Tab(Tab::Overview), Key::Name(name)) => app.show_jobs(of(Some(name))),
        (Page::Tab(Tab::Jobs), Key::Job(id)) => app.open(Page::Job(id)),
        (Page::Tab(Tab::Failures), Key::Name(key)) => {
            let Some(filter) = held(app, &key) else { return };
            match filter {
                Ok(filter) => app.show_jobs(filter),
                Err(Some(example)) => app.open(Page::Job(example)),
                Err(None) => {}
            }
        }
        (Page::Tab(Tab::Plugins), Key::Version(_, sha256)) => {
            app.show_jobs(JobFilterBody { plugin: Some(sha256), ..JobFilterBody::default() });
        }
        (Page::Tab(Tab::Schedules), Key::Job(id)) => {
            let Some(Answer::Schedules(all)) = app.answer() else { return };
            let entrypoint = all.iter().find(|one| one.id == id).map(|one| one.entrypoint.clone());
            app.show_jobs(of(entrypoint));
        }
        _ => {}
    }
}

/// The jobs that are held for a cause; where none are, one that failed so.
fn held(app: &App, key: &str) -> Option<Result<JobFilterBody, Option<i64>>> {
    let Answer::Failures(failures) = app.answer()? else { return None };
    let group = failures.groups.iter().find(|group| group.key == key)?;
    Some(match group.held {
        0 => Err(group.examples.first().copied()),
        _ => Ok(JobFilterBody {
            status: Some("failed".into()),
            entrypoint: Some(group.cause.entrypoint.clone()),
            cause: Some(group.key.clone()),
            ..JobFilterBody::default()
        }),
    })
}

/// Change the jobs that are meant.
fn jobs(app: &mut App, verb: Verb) -> Act {
    let which = match app.page {
        Page::Job(id) => Which::Named(Chosen::named(vec![id])),
        Page::Tab(Tab::Jobs) if app.all => Which::Matching(app.filter.clone()),
        Page::Tab(Tab::Jobs) if !app.marked.is_empty() => {
            Which::Named(Chosen::named(app.marked.iter().copied().collect()))
        }
        Page::Tab(Tab::Jobs) => match chosen(app) {
            Some(Row { key: Key::Job(id), .. }) => Which::Named(Chosen::named(vec![id])),
            _ => return Act::Nothing,
        },
        Page::Tab(Tab::Failures) if verb != Verb::RetryNow => match chosen(app) {
            Some(Row { key: Key::Name(key), .. }) => match held(app, &key) {
                Some(Ok(filter)) => Which::Matching(filter),
                _ => return Act::Nothing,
            },
            _ => return Act::Nothing,
        },
        Page::Tab(_) => return Act::Nothing,
    };
    ask(app, Todo::Jobs { verb, which })
}

/// What can be paused.
fn target(app: &mut App) -> Option<PauseTarget> {
    match (app.page, chosen(app)?.key) {
        (Page::Tab(Tab::Overview), Key::Name(name)) => Some(PauseTarget::Entrypoint(name)),
        (Page::Tab(Tab::Plugins), Key::Version(name, _)) => Some(PauseTarget::Plugin(name)),
        (Page::Tab(Tab::Schedules), Key::Job(id)) => {
            let Some(Answer::Schedules(all)) = app.answer() else { return None };
            all.iter().find(|one| one.id == id).map(|one| PauseTarget::Entrypoint(one.entrypoint.clone()))
        }
        _ => None,
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
