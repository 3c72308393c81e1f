//! Everything that the dashboard knows: where somebody is, what was read, and what is asked of them.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use pgq_job::JobId;
use pgq_queue::Cursor;
use pgq_queue::JobFilterBody;

use crate::ask::{Answer, Ask};
use crate::field::Field;
use crate::known::{Known, Memory};
use crate::list::List;
use crate::looks;
use crate::page::{Page, Tab};
use crate::table::Table;
use crate::todo::Todo;
use crate::tone::Tone;

/// Jobs of a page: as many as in a browser, and twice as many where the screen has room for more.
const JOBS: usize = 50;

/// What lies over the page.
#[derive(Debug, Default)]
pub(crate) enum Over {
    #[default]
    Nothing,
    Help,
    Filter {
        field: Field,
        error: Option<String>,
    },
    Question {
        todo: Todo,
        reason: Field,
        error: Option<String>,
    },
}

#[derive(Debug)]
pub(crate) struct App {
    /// The database, as it is named above.
    pub(crate) place: String,
    pub(crate) page: Page,
    /// The pages before this one.
    pub(crate) before: Vec<Page>,
    lists: [List; Tab::ALL.len()],
    /// Lines above the screen, of one job.
    pub(crate) scroll: usize,
    pub(crate) filter: JobFilterBody,
    /// Where the page of jobs begins, and those before it.
    pub(crate) places: Vec<Cursor>,
    pub(crate) marked: BTreeSet<JobId>,
    /// All jobs that match are meant.
    pub(crate) all: bool,
    pub(crate) over: Over,
    /// What was just done.
    pub(crate) said: Option<(Tone, String)>,
    pub(crate) memory: Memory,
    /// Rows of the page that are on the screen, since it was drawn last.
    pub(crate) rows: usize,
    /// Lines of the screen.
    pub(crate) height: usize,
    /// A change is under way.
    pub(crate) is_busy: bool,
}

impl App {
    pub(crate) fn new(place: String) -> App {
        App {
            place,
            page: Page::Tab(Tab::Overview),
            before: Vec::new(),
            lists: Default::default(),
            scroll: 0,
            filter: JobFilterBody::default(),
            places: Vec::new(),
            marked: BTreeSet::new(),
            all: false,
            over: Over::Nothing,
            said: None,
            memory: Memory::default(),
            rows: 0,
            height: 0,
            is_busy: false,
        }
    }

    /// What the page asks the database.
    pub(crate) fn ask(&self) -> Ask {
        match self.page {
            Page::Job(id) => Ask::Job(id),
            Page::Tab(Tab::Overview) => Ask::Overview,
            Page::Tab(Tab::Jobs) => {
                let limit = if self.height > JOBS { 2 * JOBS } else { JOBS };
                Ask::Jobs { filter: Box::new(self.filter.clone()), after: self.places.last().copied(), limit }
            }
            Page::Tab(Tab::Failures) => Ask::Failures,
            Page::Tab(Tab::Plugins) => Ask::Plugins,
            Page::Tab(Tab::Hosts) => Ask::Hosts,
            Page::Tab(Tab::Schedules) => Ask::Schedules,
        }
    }

    /// What is known for the page.
    pub(crate) fn known(&self) -> Option<&Known> {
        self.memory.get(&self.ask())
    }

    pub(crate) fn answer(&self) -> Option<&Answer> {
        self.known()?.answer.as_ref()
    }

    pub(crate) fn list(&mut self) -> Option<&mut List> {
        match self.page {
            Page::Tab(tab) => self.lists.get_mut(tab as usize),
            Page::Job(_) => None,
        }
    }

    /// The table of the page, sorted, with the row that is chosen in it.
    pub(crate) fn table(&mut self, now: DateTime<Utc>) -> Option<Table> {
        let mut table = match self.answer()? {
            Answer::Overview(look) => looks::overview::table(look),
            Answer::Jobs(page) => looks::jobs::table(page, now),
            Answer::Failures(failures) => looks::failures::table(failures, now),
            Answer::Plugins(plugins) => looks::plugins::table(plugins, now),
            Answer::Hosts(fleet) => looks::hosts::table(fleet, now),
            Answer::Schedules(schedules) => looks::schedules::table(schedules, now),
            Answer::Job(_) => return None,
        };
        self.list()?.settle(&mut table);
        Some(table)
    }

    pub(crate) fn open(&mut self, page: Page) {
        if page != self.page {
            self.before.push(self.page);
            self.page = page;
            self.scroll = 0;
            self.said = None;
        }
    }

    /// A view of the first row: nothing to come back to.
    pub(crate) fn switch(&mut self, tab: Tab) {
        self.before.clear();
        (self.page, self.scroll, self.said) = (Page::Tab(tab), 0, None);
    }

    pub(crate) fn back(&mut self) {
        if let Some(page) = self.before.pop() {
            (self.page, self.scroll, self.said) = (page, 0, None);
        }
    }

    /// The jobs that this filter lets through.
    pub(crate) fn show_jobs(&mut self, filter: JobFilterBody) {
        self.filter = filter;
        self.unmark();
        self.places.clear();
        if let Some(list) = self.lists.get_mut(Tab::Jobs as usize) {
            list.restart();
        }
        self.open(Page::Tab(Tab::Jobs));
    }

    pub(crate) fn unmark(&mut self) {
        self.marked.clear();
        self.all = false;
    }
}
