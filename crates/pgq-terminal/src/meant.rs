//! What a key is about: the chosen row, the marked ones, or all that match.

use chrono::Utc;
use pgq_queue::job_change::{Chosen, Verb};
use pgq_queue::{JobFilterBody, PauseTarget};

use crate::app::App;
use crate::ask::Answer;
use crate::page::{Page, Tab};
use crate::table::{Key, Row};
use crate::todo::{Todo, Which};

/// The chosen row.
pub(crate) fn chosen(app: &mut App) -> Option<Row> {
    let table = app.table(Utc::now())?;
    app.list()?.row(&table).cloned()
}

/// Open what is chosen.
pub(crate) fn open(app: &mut App) {
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

/// The jobs that are meant to be changed so.
pub(crate) fn jobs(app: &mut App, verb: Verb) -> Option<Todo> {
    let which = match app.page {
        Page::Job(id) => Which::Named(Chosen::named(vec![id])),
        Page::Tab(Tab::Jobs) if app.all => Which::Matching(Box::new(app.filter.clone())),
        Page::Tab(Tab::Jobs) if !app.marked.is_empty() => {
            Which::Named(Chosen::named(app.marked.iter().copied().collect()))
        }
        Page::Tab(Tab::Jobs) => match chosen(app) {
            Some(Row { key: Key::Job(id), .. }) => Which::Named(Chosen::named(vec![id])),
            _ => return None,
        },
        Page::Tab(Tab::Failures) if verb != Verb::RetryNow => match chosen(app) {
            Some(Row { key: Key::Name(key), .. }) => match held(app, &key) {
                Some(Ok(filter)) => Which::Matching(Box::new(filter)),
                _ => return None,
            },
            _ => return None,
        },
        Page::Tab(_) => return None,
    };
    Some(Todo::Jobs { verb, which })
}

/// What can be paused.
pub(crate) fn target(app: &mut App) -> Option<PauseTarget> {
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
